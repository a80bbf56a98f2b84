// Fuzzing of pushes: what anybody can send, and what is inside.

package wechat_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
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

// FuzzSealedPush seals any message as WeChat does: it comes out as it went in, or is unreadable. And
// whatever else opens, signed by somebody who has the token alone, is a frame that WeChat could have
// sealed: encrypted again it is the same bytes.
func FuzzSealedPush(f *testing.F) {
	v := pushVectors[0]
	for _, message := range []string{
		`{"Event":"user_authorization_revoke","OpenID":"o1","RevokeInfo":"1","AppID":"` + v.cfg.AppID + `","CreateTime":1}`, "<xml><Event>x</Event><List>1</List><List>2</List></xml>",
		"", "{", `{"a":1,"a ":2}`, "<xml/>", `{"RevokeInfo":["1","2"],"MsgId":23637352235060881}`,
	} {
		f.Add([]byte(message), v.encrypted, uint16(0), byte(0))
		f.Add([]byte(message), "AAAA", uint16(17), byte(1))
		f.Add([]byte(message), "", uint16(len(message)), byte(255))
	}
	r := newReceiver(f, v.cfg)
	open := func(encrypted string) (wechat.Push, error) {
		signed := v
		signed.signature = wechat.PushSignature(v.cfg.Token, v.timestamp, v.nonce, encrypted)
		body, _ := json.Marshal(map[string]string{"Encrypt": encrypted})
		return r.Open(signed.query(), body)
	}
	f.Fuzz(func(t *testing.T, message []byte, encrypted string, at uint16, flip byte) {
		frame := sealPush(t, v.cfg.AESKey, v.cfg.AppID, message)
		push, err := open(base64.StdEncoding.EncodeToString(frame))
		want, readErr := wechat.ReadPush(message)
		if (err == nil) != (readErr == nil) || err != nil && !errors.Is(err, wechat.ErrUnreadablePush) {
			t.Fatalf("got %v, want %v", err, readErr)
		}
		got, _ := push.MarshalJSON()
		if text, _ := want.MarshalJSON(); !bytes.Equal(got, text) {
			t.Errorf("got %s, want %s", got, text)
		}
		if push.Concerns(v.cfg.AppID) != want.Concerns(v.cfg.AppID) || push.Kind() != want.Kind() || push.Identity() != want.Identity() || push.OpenID() != want.OpenID() {
			t.Errorf("got %s", got)
		}
		damaged := slices.Clone(frame)
		damaged[int(at)%len(frame)] ^= flip
		for _, text := range []string{base64.StdEncoding.EncodeToString(damaged), encrypted} {
			opened, appID, ok := wechat.OpenPushFrame(v.cfg.AESKey, text)
			raw, _ := base64.StdEncoding.DecodeString(text)
			if ok && !bytes.Equal(raw, sealAgain(t, v.cfg.AESKey, raw, opened, appID)) {
				t.Errorf("%q opens, and is sealed otherwise", text)
			}
			if _, err := open(text); err == nil && (!ok || appID != v.cfg.AppID) {
				t.Errorf("%q is taken, of %q", text, appID)
			}
		}
	})
}

// sealPush encrypts a message as WeChat does.
func sealPush(t *testing.T, key, appID string, message []byte) []byte {
	t.Helper()
	return sealFrame(t, key, slices.Concat([]byte("0123456789abcdef"), binary.BigEndian.AppendUint32(nil, uint32(len(message))), message, []byte(appID)))
}

// sealAgain encrypts what was opened, with the random bytes that were before it.
func sealAgain(t *testing.T, key string, frame, message []byte, appID string) []byte {
	t.Helper()
	start := make([]byte, aes.BlockSize)
	block, iv := pushCipher(t, key)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(start, frame[:aes.BlockSize])
	return sealFrame(t, key, slices.Concat(start, binary.BigEndian.AppendUint32(nil, uint32(len(message))), message, []byte(appID)))
}

func sealFrame(t *testing.T, key string, text []byte) []byte {
	t.Helper()
	pad := 32 - len(text)%32
	text = append(text, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, iv := pushCipher(t, key)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	return text
}

func pushCipher(t *testing.T, key string) (block cipher.Block, iv []byte) {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	if block, err = aes.NewCipher(raw); err != nil {
		t.Fatal(err)
	}
	return block, raw[:aes.BlockSize]
}

// FuzzPushMemory: what anybody can send costs a bounded multiple of its size, signed or not.
func FuzzPushMemory(f *testing.F) {
	for _, text := range []string{`<a b=""/>`, "[[[[", `{"a":{"a":`, "<a><a><a>", "<a/>", `{"":0,`, "&lt;", "1,", `"\u0000",`, "<!---->", "<?x ?>", "< / ", "<![CDATA[]]>"} {
		f.Add([]byte("<xml>"), []byte(text), uint16(3000))
		f.Add([]byte(`{"a":[`), []byte(text), uint16(3000))
	}
	f.Fuzz(func(t *testing.T, start, repeated []byte, times uint16) {
		text := append(slices.Clone(start), bytes.Repeat(repeated, int(times))...)
		if len(text) > wechat.MaxPush {
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = wechat.ReadPush(text)
		runtime.ReadMemStats(&after)
		// All that was allocated, freed or not.
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 100*uint64(len(text))+1<<20 {
			t.Errorf("%d bytes of %q cost %d", len(text), text[:min(len(text), 100)], spent)
		}
	})
}
