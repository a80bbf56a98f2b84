// The operator's operations on whole stores.

package sidecar

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/memstore"
)

// What is wrong with a line keeps no other line away, and to import again does no harm.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	alice := s.fake.NewUser(testAppID)
	long := `{"openid":"long","nickname":"` + strings.Repeat("x", maxLine) + `"}`
	tomorrow := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	lines := strings.Join([]string{
		`{"openid":"` + alice.OpenID + `","phone":"13800138000","verified_at":"2026-01-01T00:00:00Z","first_seen":"2025-01-01T00:00:00Z"}`,
		``,
		`{"appid":"` + testAppID + `","openid":"abroad","phone_number":"+14155550100","nickname":"Bob"}`,
		`not JSON`,
		long,
		`{"openid":"a","phone":"ask me"}`,
		`{"openid":"a b"}`,
		`{"appid":"wxother","openid":"a"}`,
		`{"openid":"a","opnid":"b"}`,
		`{"openid":"a","openid":"b"}`,
		`{"openid":"a","phone":"13800138000","verified_at":"` + tomorrow + `"}`,
		`{"openid":"last"}`,
	}, "\n")
	for range 2 {
		answer := s.wantOperation("POST", "users", lines, 200, "")
		var failed []int
		for _, f := range answer["failed"].([]any) {
			failed = append(failed, int(f.(map[string]any)["line"].(float64)))
		}
		if want := []int{4, 5, 6, 7, 8, 9, 10, 11}; answer["imported"] != 3.0 || !reflect.DeepEqual(failed, want) {
			t.Fatalf("got %v, want 3 imported and the lines %v failed", answer, want)
		}
	}
	known := s.wantOperation("GET", "users/-/"+alice.OpenID+"?phones=full", "", 200, "")
	for name, want := range map[string]string{
		"phone": "13800138000", "phone_number": "+8613800138000", "verified_at": "2026-01-01T00:00:00Z", "first_seen": "2025-01-01T00:00:00Z",
	} {
		if got := text(known, "user", name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	known = s.wantOperation("GET", "users/-/abroad?phones=full", "", 200, "")
	if got := text(known, "user", "phone"); got != "14155550100" {
		t.Errorf("got phone %s, want the one of the number", got)
	}
	status, login := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(alice)+`"}`)
	if status != 200 || text(login, "user", "phone") != "13800138000" {
		t.Errorf("login: got %d %v, want the imported phone", status, login)
	}
}

func TestImportMany(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	var lines strings.Builder
	const many = 2*importBatch + 1
	for i := range many {
		fmt.Fprintf(&lines, `{"openid":"o%d"}`+"\n", i)
	}
	if answer := s.wantOperation("POST", "users", lines.String(), 200, ""); answer["imported"] != float64(many) {
		t.Errorf("got %v, want %d", answer, many)
	}
	if got := s.wantOperation("GET", "status", "", 200, ""); got["users"] != float64(many) {
		t.Errorf("got %v users, want %d", got["users"], many)
	}
}

func TestStoreOperationsRefuse(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	for path, body := range map[string]string{
		"backup":      `{"file":"/nowhere/x"}`, // memory has no file
		"keys/rotate": "",                      // the key is configured
	} {
		s.wantOperation("POST", path, body, 400, "invalid_request")
	}
	s.wantOperation("POST", "backup", `{"file":"x"}`, 400, "invalid_request")
}

// A rotation before its time still publishes the next key first, and asking twice makes one key.
func TestKeysRotateNow(t *testing.T) {
	t.Parallel()
	store, now := &keyStore{Store: memstore.New(1 << 20)}, time.Now()
	n := newNode(t, store, &now)
	n.Keyring.store = newTestStore(t, store)
	n.once.Do(func() {})
	n.poll()
	_, first := n.sign()
	for range 2 {
		if err := n.rotateNow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, kid := n.sign(); kid != first || len(n.published()) != 2 {
		t.Errorf("got key %s of %v, want %s and one to come", kid, n.published(), first)
	}
	now = now.Add(n.publish())
	n.poll()
	if _, kid := n.sign(); kid == first {
		t.Error("the next key does not sign when it was published long enough")
	}
}
