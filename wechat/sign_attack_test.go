// Answers that were not made by WeChat for this call.

package wechat_test

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// An attacker between us and WeChat without its key must not get a phone number past us, not even
// an old one.
func TestAttackForgedAnswers(t *testing.T) {
	t.Parallel()
	set := func(name, value string) wechattest.Fault {
		return wechattest.EditSealed(func(h http.Header, body []byte) []byte {
			h.Set(name, value)
			return body
		})
	}
	body := func(change func([]byte) []byte) wechattest.Fault {
		return wechattest.EditSealed(func(_ http.Header, body []byte) []byte { return change(bytes.Clone(body)) })
	}
	shift := func(seconds int64) wechattest.Fault {
		return wechattest.EditSealed(func(h http.Header, body []byte) []byte {
			at, _ := strconv.ParseInt(h.Get("Wechatmp-TimeStamp"), 10, 64)
			h.Set("Wechatmp-TimeStamp", strconv.FormatInt(at+seconds, 10))
			return body
		})
	}
	tests := []struct {
		name   string
		fault  wechattest.Fault
		reason string
	}{
		{"plain", wechattest.Unsealed(), "plain"},
		{"plain without errcode", wechattest.Raw(200, "", goodPhone[:1]+goodPhone[len(`{"errcode":0,"errmsg":"ok",`):]), "plain"},
		{"plain, but with the headers", body(func([]byte) []byte { return []byte(goodPhone) }), "plain"},
		{"wrong signature", wechattest.WrongSignature(), "signature is wrong"},
		{"no base64", set("Wechatmp-Signature", "!"), "signature is wrong"},
		{"no signature", set("Wechatmp-Signature", ""), "signature is wrong"},
		{"unknown certificate", wechattest.UnknownCertificate(), "download it"},
		{"odd certificate", set("Wechatmp-Serial", "LEAK ://"), "proper number"},
		{"no certificate", set("Wechatmp-Serial", ""), "not signed"},
		{"no headers", wechattest.EditSealed(func(h http.Header, b []byte) []byte { clear(h); return b }), "not signed"},
		{"another app", wechattest.SealedFor("wxanother"), "another AppID"},
		{"another app inside", set("Wechatmp-Appid", "wxanother"), "another AppID"},
		{"another time", shift(1), "signature is wrong"},
		{"old", shift(-400), "clock"},
		{"ahead", shift(400), "clock"},
		{"far ahead", set("Wechatmp-TimeStamp", "9223372036854775807"), "clock"},
		{"no time", set("Wechatmp-TimeStamp", "LEAK"), "clock"},
		{"one bit", body(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), "signature is wrong"},
		{"one blank", body(func(b []byte) []byte { return append(b, ' ') }), "signature is wrong"},
		{"half", wechattest.Truncate(), "cut off"},
		{"again", wechattest.Replay(), "given before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := newSecured(t)
			client := fake.client(t, fake.signing(t))
			if err := fake.phone(t, client); err != nil {
				t.Fatal(err)
			}
			fake.Fail(wechattest.Phone, 1, tt.fault)
			err := fake.phone(t, client)
			if e := asError(t, err); e.Class != wechat.ClassBadAnswer || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("got %v, want bad_answer, %s", err, tt.reason)
			}
			checkErrorClean(t, err)
			if err := fake.phone(t, client); err != nil {
				t.Errorf("afterwards: got %v, want success", err)
			}
		})
	}
}

func TestAttackOldAnswers(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	var mu sync.Mutex
	var ahead time.Duration
	signing := fake.signing(t)
	clock := func(cfg *wechat.Config) {
		cfg.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(ahead)
		}
	}
	client := fake.client(t, signing, clock)
	if err := fake.phone(t, client); err != nil {
		t.Fatal(err)
	}
	fake.Fail(wechattest.Phone, -1, wechattest.Replay())
	for step, want := range []string{"given before", "given before", "clock", "clock", "clock"} {
		err := fake.phone(t, client)
		if e := asError(t, err); e.Class != wechat.ClassBadAnswer || !strings.Contains(e.Reason, want) {
			t.Errorf("after %v: got %v, want bad_answer, %s", time.Duration(step)*3*time.Minute, err, want)
		}
		mu.Lock()
		ahead += 3 * time.Minute
		mu.Unlock()
		fake.Advance(3 * time.Minute)
	}
}
