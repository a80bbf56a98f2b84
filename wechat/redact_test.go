// Secrets in errors, logs and printed values.

package wechat_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// everything lists texts that no error, log line or printed value may hold: each secret, and the
// marks of a URL.
var everything = []string{
	testSecret, testCode, testOpenID, testToken, testKey, testNumber, testCloud, testName, "NAME", "oUNION", "LEAK", testServerKey,
	"://", "jscode2session?", "access_token=", "js_code=", "secret=",
}

// checkClean fails the test if text holds a secret. It does not print the secret again.
func checkClean(t *testing.T, where, text string) {
	t.Helper()
	for i, secret := range everything {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds secret %d, want none", where, i)
		}
	}
}

// checkErrorClean looks at each error of the chain in each way of printing it.
func checkErrorClean(t *testing.T, err error) {
	t.Helper()
	for level := 0; err != nil; level++ {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			checkClean(t, fmt.Sprintf("level %d by %s", level, verb), fmt.Sprintf(verb, err))
		}
		if raw, e := json.Marshal(err); e == nil {
			checkClean(t, fmt.Sprintf("level %d as JSON", level), string(raw))
		}
		if _, many := err.(interface{ Unwrap() []error }); many {
			t.Fatalf("level %d unwraps to several errors, want a plain chain", level)
		}
		err = errors.Unwrap(err)
	}
}

// net/http's errors quote the whole URL: "Get
// \"https://api.weixin.qq.com/sns/jscode2session?secret=…\": connection refused". One log line of
// it, and whoever reads logs can call every server API of the mini program. An answer may quote
// what was sent.
// Threats: T72, T88.
func TestAttackSecretsInErrors(t *testing.T) {
	t.Parallel()
	leak := "https://h/sns/jscode2session?secret=" + testSecret + "&js_code=" + testCode + "&access_token=" + testToken + " LEAK " + testOpenID + testCloud + testName
	leaking := errors.New(leak)
	tests := map[string]answerFunc{
		"unknown":     failure(leaking),
		"url.Error":   failure(&url.Error{Op: "Get", URL: leak, Err: leaking}),
		"dial":        failure(&net.OpError{Op: "dial", Err: leaking}),
		"read":        failure(&net.OpError{Op: "read", Err: syscall.ECONNRESET}),
		"refused":     failure(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}),
		"no route":    failure(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}),
		"DNS":         failure(&net.DNSError{Err: leak, Name: leak, Server: leak}),
		"hostname":    failure(x509.HostnameError{Host: leak, Certificate: &x509.Certificate{DNSNames: []string{leak}}}),
		"authority":   failure(x509.UnknownAuthorityError{}),
		"expired":     failure(x509.CertificateInvalidError{Reason: x509.Expired, Detail: leak}),
		"certificate": failure(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign, Detail: leak}),
		"handshake":   failure(&net.OpError{Op: "remote error", Err: leaking}),
		"timeout":     failure(timeoutError{}),
		"silence":     silence,
		"broken body": brokenBody,
		"redirect": func(*http.Request) (*http.Response, error) {
			r := reply(302, leak)
			r.Header.Set("Location", leak)
			return r, nil
		},
		"text":          text(leak),
		"HTML":          text("<html>" + leak),
		"bad JSON":      text(`{"openid":"` + leak),
		"bad openid":    text(`{"openid":"` + leak + `"}`),
		"bad number":    text(`{"errcode":"` + leak + `"}`),
		"bad token":     text(`{"access_token":"` + leak + `","expires_in":7200}`),
		"bad life":      text(`{"access_token":"t","expires_in":"` + leak + `"}`),
		"bad phone":     text(`{"phone_info":{"phoneNumber":"` + testNumber + ` ` + leak + `"}}`),
		"other's phone": text(strings.Replace(goodPhone, testAppID, "wxLEAK", 1)),
	}
	for _, code := range []int{-1, 40001, 40013, 40029, 40125, 40163, 40164, 42001, 45011, 61010, 87008, 99999} {
		tests[fmt.Sprint("errcode ", code)] = errcode(code, "invalid "+leak+" rid: 652d44d0-1d0af18b-5b069232")
	}

	for name, answer := range tests {
		for _, path := range []string{loginPath, phonePath, tokenPath, checkPath, cloudPath, nickPath} {
			t.Run(name+" on "+path, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					client := newClient(t, newFake().on(path, answer), func(cfg *wechat.Config) {
						cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
					})
					err := callEither(t, client, path)
					if err == nil && name == "other's phone" && path == checkPath {
						return // errcode 0 is all that matters there
					}
					if err == nil {
						t.Fatal("got success, want an error")
					}
					checkErrorClean(t, err)
					checkErrorClean(t, fmt.Errorf("login: %w", err))
					slog.New(slog.NewJSONHandler(&log, nil)).Error("failed", "err", err)
					checkClean(t, "log", log.String())
				})
			})
		}
	}
}

func TestAttackSecretsInErrorsOfTheRealNetwork(t *testing.T) {
	t.Parallel()
	raw := func(answer string) string {
		u, _ := serveRaw(t, answer)
		return u
	}
	for name, base := range map[string]string{
		"refused":           closedPort(t),
		"not TLS":           strings.Replace(raw("HTTP/1.0 400 LEAK\r\n\r\nLEAK"), "http:", "https:", 1),
		"unknown authority": serveTLS(t, nil),
		"closed":            raw(""),
		"not HTTP":          raw("LEAK LEAK LEAK\r\n\r\n"),
		"bad header":        raw("HTTP/1.1 200 OK\r\nLEAK\r\n\r\n"),
		"bad chunk":         raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nLEAK\r\n"),
		"bad location":      raw("HTTP/1.1 302 Found\r\nLocation: ://LEAK%zz\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{loginPath, phonePath, checkPath, cloudPath, nickPath} {
				err := callEither(t, overNetwork(t, base), path)
				if err == nil {
					t.Fatal("got success, want an error")
				}
				checkErrorClean(t, err)
			}
		})
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	t.Parallel()
	client := newClient(t, newFake())
	session, err := client.Code2Session(t.Context(), testCode)
	if err != nil {
		t.Fatal(err)
	}
	phone, err := client.PhoneNumber(t.Context(), testCode, testOpenID)
	if err != nil {
		t.Fatal(err)
	}
	tokens := newTokens(t, newFake(), withServer)
	cfg := wechat.Config{AppID: testAppID, Secret: testSecret, BaseURLs: []string{"https://h"}, TokenURL: testTokenURL, Tokens: tokens}

	values := map[string]any{
		"config": cfg, "*config": &cfg, "client": client, "session": session, "*session": &session, "phone": phone, "*phone": &phone,
		"sessions": []wechat.Session{session}, "holder": struct{ S wechat.Session }{session}, "clients": []*wechat.Client{client},
		"tokens": tokens, "config's own": wechat.Config{AppID: testAppID, Secret: testSecret, TokenURL: testTokenURL},
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v"} {
			checkClean(t, name+" by "+verb, fmt.Sprintf(verb, value))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		if name != "sessions" && name != "holder" { // those a JSON handler encodes; see below for what JSON may show
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		}
		checkClean(t, name+" in a log", log.String())
	}

	// A program may keep a session as JSON, so that has the openid. The key stays out of it.
	raw, err := json.Marshal(session)
	if err != nil || strings.Contains(string(raw), testKey) {
		t.Errorf("session as JSON: got the key or error %v, want neither", err)
	}
	for name, value := range map[string]any{"config": cfg, "tokens": tokens, "client": client} {
		raw, err = json.Marshal(value)
		if err != nil || strings.Contains(string(raw), testSecret) || strings.Contains(string(raw), testServerKey) {
			t.Errorf("%s as JSON: got a secret or error %v, want neither", name, err)
		}
	}
}
