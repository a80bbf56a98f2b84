// Fuzzing of pushes: what anybody can send, and what is inside.

package wechat_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// FuzzPush sends any body, signed or not: there is a message, or one of the errors.
func FuzzPush(f *testing.F) {
	for _, v := range pushVectors {
		for _, body := range v.bodies() {
			f.Add([]byte(body), v.encrypted)
		}
	}
	f.Add([]byte(`{"Encrypt":"AAAA"}`), "AAAA")
	f.Add([]byte(`<xml>< Encrypt>AAAA</Encrypt></xml>`), "AAAAAAAAAAAAAAAAAAAAAA==")
	v := pushVectors[0]
	r := newReceiver(f, v.cfg)
	f.Fuzz(func(t *testing.T, body []byte, encrypted string) {
		if push, err := r.Open(v.query(), body); err == nil {
			if push.Text("Event") != "debug_demo" {
				t.Errorf("got %v, want the one message that is signed so", push)
			}
		} else if !errors.Is(err, wechat.ErrPush) {
			t.Errorf("got %v, want ErrPush", err)
		}
		signed := v
		signed.signature = wechat.PushSignature(v.cfg.Token, v.timestamp, v.nonce, encrypted)
		text, err := json.Marshal(map[string]string{"Encrypt": encrypted})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(signed.query(), text); err != nil && !errors.Is(err, wechat.ErrPush) && !errors.Is(err, wechat.ErrUnreadablePush) {
			t.Errorf("got %v, want ErrPush", err)
		}
	})
}

// FuzzPushReader reads any text: what is read is JSON afterwards, and is read again as the same.
func FuzzPushReader(f *testing.F) {
	for _, text := range []string{
		`{" OpenID":"o1","n":23637352235060881,"l":[1,{"a":null},],}`, `{"a":"\",}"}`, "{}", "[", `{"a":1}{`,
		"<xml>< OpenPID><![CDATA[a<b]]></OpenPID><l><i>1</i><i>2</i></l></xml>", "<a>&lt;</a>", "<!DOCTYPE x><a/>", "<a", "\ufeff<a></ a>",
		"<xml><![CDATA[", `{"Content":" x "}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		push, err := wechat.ReadPush(text)
		if err != nil {
			return
		}
		first, err := push.MarshalJSON()
		if err != nil || !json.Valid(first) {
			t.Fatalf("got %q %v, want JSON", first, err)
		}
		again, err := wechat.ReadPush(first)
		if err != nil {
			t.Fatalf("%q: got %v, want it read again", first, err)
		}
		if second, err := again.MarshalJSON(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("got %q %v, want %q", second, err, first)
		}
	})
}
