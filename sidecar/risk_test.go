// The risk rank at login and phone.

package sidecar

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func withRiskDeny(rank int) func(*Config, *Deps) {
	return func(cfg *Config, _ *Deps) { cfg.Risk.Deny = rank }
}

// claimsOf returns the claims of the access token in an answer.
func claimsOf(t *testing.T, answer map[string]any) map[string]any {
	t.Helper()
	parts := strings.Split(text(answer, "access_token"), ".")
	if len(parts) != 3 {
		t.Fatalf("got %v, want an access token", answer)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestRiskIsAClaimAndKeepsOut(t *testing.T) {
	t.Parallel()
	for rank, wantStatus := range map[int]int{0: 200, 2: 200, 3: 403, 4: 403} {
		s := newTestSite(t, withRiskDeny(3))
		alice := s.fake.NewUser(testAppID)
		s.fake.SetRisk(alice, rank)
		status, login := s.loginAs(alice)
		if status != wantStatus {
			t.Errorf("rank %d: got %d %v, want %d", rank, status, login, wantStatus)
			continue
		}
		if status == 403 {
			if text(login, "error") != "denied" {
				t.Errorf("rank %d: got %v, want denied", rank, login)
			}
			continue
		}
		if got := claimsOf(t, login)["risk_rank"]; got != float64(rank) {
			t.Errorf("rank %d: got claim %v, want it", rank, got)
		}
		// The session keeps the rank; a user who became one of high risk proves no phone.
		_, refreshed := s.do("POST", "/auth/refresh", "", `{"refresh_token":"`+text(login, "refresh_token")+`"}`)
		if got := claimsOf(t, refreshed)["risk_rank"]; got != float64(rank) {
			t.Errorf("rank %d: after a refresh: got claim %v, want it", rank, got)
		}
		s.fake.SetRisk(alice, 4)
		code, before := s.fake.PhoneCode(alice, "13800138000"), s.fake.Count(wechattest.Phone)
		if status, phone := s.do("POST", "/auth/phone", text(refreshed, "access_token"), `{"code":"`+code+`"}`); status != 403 {
			t.Errorf("rank 4 at phone: got %d %v, want 403", status, phone)
		}
		if got := s.fake.Count(wechattest.Phone) - before; got != 0 {
			t.Errorf("the tap was spent %d times, want none", got)
		}
		s.fake.SetRisk(alice, 1)
		status, phone := s.do("POST", "/auth/phone", text(refreshed, "access_token"), `{"code":"`+code+`"}`)
		if status != 200 || claimsOf(t, phone)["risk_rank"] != 1.0 {
			t.Errorf("rank 1 at phone: got %d %v, want 200 with the claim", status, phone)
		}
		if v := s.fake.Violations(); len(v) != 0 {
			t.Errorf("violations: got %q, want none", v)
		}
	}
}

func TestNoRankKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]wechattest.Fault{
		"inactive": wechattest.ErrCode(61010), "busy": wechattest.ErrCode(-1), "too often": wechattest.ErrCode(61081),
		"cut": wechattest.Cut(), "no JSON": wechattest.Raw(200, "text/html", "<html>"), "late": wechattest.Delay(5 * time.Second),
		"no rank": wechattest.Raw(200, "application/json", `{"errcode":0,"risk_rank":"?"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestSite(t, withRiskDeny(1))
			alice := s.fake.NewUser(testAppID)
			s.fake.SetRisk(alice, 4)
			s.fake.Fail(wechattest.RiskRank, 9, fault)
			status, login := s.loginAs(alice)
			if status != 200 {
				t.Fatalf("got %d %v, want 200", status, login)
			}
			if claim, given := claimsOf(t, login)["risk_rank"]; given {
				t.Errorf("got claim %v, want none", claim)
			}
		})
	}
}

// An app that was not granted the call would fail with every login.
func TestRiskThatIsNotGrantedIsAskedForOnce(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	s := newTestSite(t, withRiskDeny(1), func(_ *Config, deps *Deps) { deps.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s.fake.Fail(wechattest.RiskRank, 9, wechattest.ErrCode(48001))
	for range 3 {
		if status, login := s.loginAs(s.fake.NewUser(testAppID)); status != 200 {
			t.Errorf("got %d %v, want 200", status, login)
		}
	}
	if got := s.fake.Count(wechattest.RiskRank); got != 1 {
		t.Errorf("got %d questions, want 1", got)
	}
	if got := strings.Count(log.String(), "用户风控"); got != 1 {
		t.Errorf("got %d lines, want 1: %s", got, log.String())
	}
	s.healthz("a rank that is not granted", 200, `"ok"`)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The hook sees the rank and can't forge it, at login as at refresh.
func TestTheHookSeesTheRankAndCantForgeIt(t *testing.T) {
	t.Parallel()
	var seen []any
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event map[string]any
		_ = json.NewDecoder(r.Body).Decode(&event)
		seen = append(seen, event["risk_rank"])
		_, _ = w.Write([]byte(`{"allow":true,"claims":{"risk_rank":0,"role":"x"}}`))
	}))
	defer hook.Close()
	s := newTestSite(t, withRiskDeny(4), func(_ *Config, deps *Deps) {
		deps.Hook = NewHook(HookConfig{URL: hook.URL, Secret: strings.Repeat("k", 32), Timeout: time.Second}, deps.Logger)
	})
	alice := s.fake.NewUser(testAppID)
	s.fake.SetRisk(alice, 3)
	_, login := s.loginAs(alice)
	_, refreshed := s.do("POST", "/auth/refresh", "", `{"refresh_token":"`+text(login, "refresh_token")+`"}`)
	for what, answer := range map[string]map[string]any{"login": login, "refresh": refreshed} {
		if c := claimsOf(t, answer); c["risk_rank"] != 3.0 || c["role"] != "x" {
			t.Errorf("%s: got claims %v, want rank 3 and the role", what, c)
		}
	}
	if len(seen) != 2 || seen[0] != 3.0 || seen[1] != nil {
		t.Errorf("the hook saw %v, want 3 at login", seen)
	}
}
