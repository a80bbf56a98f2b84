// The message push: the worked examples of WeChat's pages and of public SDKs, and what must fail.

package wechat_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
)

var zeroKey = strings.Repeat("A", 43)

// pushVector is a worked example: what the console has, what came, and the message in it.
type pushVector struct {
	name      string
	cfg       wechat.PushConfig
	timestamp string
	nonce     string
	signature string // msg_signature
	encrypted string
	field     string
	want      string
}

var pushVectors = []pushVector{{
	name:      "JSON of the push page",
	cfg:       wechat.PushConfig{AppID: "wxba5fad812f8e6fb9", Token: "AAAAA", AESKey: zeroKey},
	timestamp: "1714112445", nonce: "415670741", signature: "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
	encrypted: "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8X" +
		"GT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P" +
		"50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=",
	field: "debug_str", want: "hello world",
}, {
	name: "the answer of the push page",
	cfg:  wechat.PushConfig{AppID: "wxba5fad812f8e6fb9", Token: "AAAAA", AESKey: zeroKey},
	// The query of an answer does not exist; its signature has the same rule.
	timestamp: "1713424427", nonce: "415670741", signature: "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
	encrypted: "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
	field:     "demo_resp", want: "good luck",
}, {
	name:      "XML of the SDKs",
	cfg:       wechat.PushConfig{AppID: "wx2c2769f8efd9abc2", Token: "spamtest", AESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"},
	timestamp: "1409735669", nonce: "1320562132", signature: "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
	encrypted: "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9FrXpbUAh0B" +
		"5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA91" +
		"2xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6Oewpus" +
		"jZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE=",
	field: "MsgId", want: "6054768590064713728",
}, {
	name:      "the platform's own appid",
	cfg:       wechat.PushConfig{AppID: "wx134c8103faa5a59e", Token: "AAAAA", AESKey: zeroKey},
	timestamp: "1715943329", nonce: "1590219412", signature: "6c12a4205838198b8fa631b3220723bb07f1015c",
	encrypted: platformPush, field: "Event", want: "debug_demo",
}}

const platformPush = "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+ajKYpJn" +
	"yQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81" +
	"VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob" +
	"++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg=="

func (v pushVector) query() url.Values {
	return url.Values{
		"timestamp": {v.timestamp}, "nonce": {v.nonce}, "msg_signature": {v.signature}, "encrypt_type": {"aes"}, "openid": {"oForged"},
	}
}

func (v pushVector) bodies() map[string]string {
	return map[string]string{
		"JSON": `{"ToUserName":"gh_1","Encrypt":"` + v.encrypted + `"}`,
		"XML":  "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[" + v.encrypted + "]]></Encrypt></xml>",
		"compatible mode": "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Event>user_authorization_cancellation</Event><Encrypt><![CDATA[" +
			v.encrypted + "]]></Encrypt></xml>",
	}
}

func newReceiver(t testing.TB, cfg wechat.PushConfig) *wechat.PushReceiver {
	t.Helper()
	r, err := wechat.NewPushReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPublishedPushesAreOpened(t *testing.T) {
	t.Parallel()
	for _, v := range pushVectors {
		for kind, body := range v.bodies() {
			t.Run(v.name+" in "+kind, func(t *testing.T) {
				t.Parallel()
				push, err := newReceiver(t, v.cfg).Open(v.query(), []byte(body))
				if err != nil {
					t.Fatal(err)
				}
				if got := push.Text(v.field); got != v.want {
					t.Errorf("%s: got %q, want %q", v.field, got, v.want)
				}
				if got := push.Text("Event"); got == "user_authorization_cancellation" {
					t.Error("got the event beside Encrypt, want the encrypted one")
				}
			})
		}
	}
}

// The example of the SDKs whose message is no object, and that of WeCom: the algorithm is the same.
func TestPublishedFramesAreDecrypted(t *testing.T) {
	t.Parallel()
	const encrypted = "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg=="
	message, appID, ok := wechat.OpenPushFrame("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", encrypted)
	if !ok || string(message) != "我是中文abcd123" || appID != "wxb11529c136998cb6" {
		t.Errorf("got %q %q %t, want the message and its appid", message, appID, ok)
	}
	if got, want := wechat.PushSignature("pamtest", "1409304348", "xxxxxx", encrypted), "82c962d39941aa48552f90ef55aa323dc620cc10"; got != want {
		t.Errorf("signature: got %s, want %s", got, want)
	}
	cfg := wechat.PushConfig{AppID: "wx49f0ab532d5d035a", Token: "123456", AESKey: "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"}
	if err := cfg.Check(); err != nil {
		t.Errorf("got %v for a key whose last bits are set, want it taken", err)
	}
}

func TestTheConsolesGETIsEchoed(t *testing.T) {
	t.Parallel()
	query := func(changed ...string) url.Values {
		q := url.Values{
			"signature": {"f464b24fc39322e44b38aa78f5edd27bd1441696"}, "timestamp": {"1714036504"}, "nonce": {"1514711492"},
			"echostr": {"4375120948345356249"},
		}
		for i := 0; i < len(changed); i += 2 {
			q[changed[i]] = append(q[changed[i]][:0:0], changed[i+1])
		}
		return q
	}
	r := newReceiver(t, pushVectors[0].cfg)
	if got, err := r.Echo(query()); err != nil || got != "4375120948345356249" {
		t.Errorf("got %q %v, want the echostr", got, err)
	}
	twice := query()
	twice.Add("echostr", "another")
	missing := query()
	missing.Del("nonce")
	for name, q := range map[string]url.Values{
		"a capital digit":    query("signature", "F464b24fc39322e44b38aa78f5edd27bd1441696"),
		"another digit":      query("signature", "f464b24fc39322e44b38aa78f5edd27bd1441697"),
		"a cut signature":    query("signature", "f464b24fc39322e44b38aa78f5edd27bd144169"),
		"no signature":       query("signature", ""),
		"another nonce":      query("nonce", "1514711493"),
		"a later timestamp":  query("timestamp", "1714036505"),
		"no nonce":           missing,
		"two echos":          twice,
		"an echo of 64 KiB":  query("echostr", strings.Repeat("x", 64<<10)),
		"no echo":            query("echostr", ""),
		"no query whatever":  {},
		"parts moved across": query("timestamp", "17140365041", "nonce", "514711492"),
	} {
		if got, err := r.Echo(q); !errors.Is(err, wechat.ErrPush) || got != "" {
			t.Errorf("%s: got %q %v, want ErrPush", name, got, err)
		}
	}
}

func TestForgedPushesAreRefused(t *testing.T) {
	t.Parallel()
	v := pushVectors[0]
	body := v.bodies()["JSON"]
	change := func(change func(*pushVector)) pushVector {
		changed := v
		change(&changed)
		return changed
	}
	for name, forged := range map[string]pushVector{
		"a capital digit": change(func(v *pushVector) { v.signature = "046E02f8204d34f8ba5fa3b1db94908f3df2e9b3" }),
		"no signature":    change(func(v *pushVector) { v.signature = "" }),
		"the other signature": change(func(v *pushVector) {
			v.signature = "6c5c811b55cc85e0e1b54100749188c20beb3f5d" // of token, timestamp and nonce
		}),
		"another nonce":     change(func(v *pushVector) { v.nonce = "415670742" }),
		"another timestamp": change(func(v *pushVector) { v.timestamp = "1714112446" }),
		"another token":     change(func(v *pushVector) { v.cfg.Token = "AAAAB" }),
		"another app":       change(func(v *pushVector) { v.cfg.AppID = "wxba5fad812f8e6fb8" }),
		"another key":       change(func(v *pushVector) { v.cfg.AESKey = strings.Repeat("B", 43) }),
	} {
		_, err := newReceiver(t, forged.cfg).Open(forged.query(), []byte(body))
		if !errors.Is(err, wechat.ErrPush) || errors.Is(err, wechat.ErrPlainPush) {
			t.Errorf("%s: got %v, want ErrPush", name, err)
		}
	}
}

// Whoever got hold of the token alone signs what they like. None of it may be told from the rest.
func TestSignedGarbageIsRefused(t *testing.T) {
	t.Parallel()
	v := pushVectors[0]
	for name, encrypted := range map[string]string{
		"a cut block":    v.encrypted[:len(v.encrypted)-24],
		"one block less": v.encrypted[:256],
		"a bit flipped":  "A" + v.encrypted[1:len(v.encrypted)-8] + "AAAAAAA=",
		"no base64":      strings.Repeat("!", 64),
		"base64url":      strings.NewReplacer("+", "-", "/", "_").Replace(v.encrypted),
		"half a block":   "AAAAAAAAAAA=",
		"zeroes":         strings.Repeat("A", 64*3) + "AA==",
	} {
		signed := v
		signed.encrypted = encrypted
		signed.signature = wechat.PushSignature(v.cfg.Token, v.timestamp, v.nonce, encrypted)
		_, err := newReceiver(t, v.cfg).Open(signed.query(), []byte(signed.bodies()["JSON"]))
		if !errors.Is(err, wechat.ErrSealedPush) || !errors.Is(err, wechat.ErrPush) {
			t.Errorf("%s: got %v, want %v", name, err, wechat.ErrSealedPush)
		}
	}
}

func TestPlainPushesAreRefused(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, pushVectors[0].cfg)
	query := url.Values{
		"signature": {"899cf89e464efb63f54ddac96b0a0a235f53aa78"}, "timestamp": {"1714037059"}, "nonce": {"486452656"},
	}
	body := []byte(`{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"o1"}`)
	if _, err := r.Open(query, body); !errors.Is(err, wechat.ErrPlainPush) {
		t.Errorf("signed as in the plain mode: got %v, want ErrPlainPush", err)
	}
	query.Set("nonce", "486452657")
	if _, err := r.Open(query, body); !errors.Is(err, wechat.ErrPush) || errors.Is(err, wechat.ErrPlainPush) {
		t.Errorf("not signed: got %v, want ErrPush: anybody could have the log say what to do", err)
	}
}

func TestAPlatformsPushIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	v := pushVectors[3]
	v.cfg.AppID = "wxba5fad812f8e6fb9" // the mini program that the platform serves
	_, err := newReceiver(t, v.cfg).Open(v.query(), []byte(v.bodies()["XML"]))
	if !errors.Is(err, wechat.ErrPlatformPush) || !errors.Is(err, wechat.ErrPush) {
		t.Errorf("got %v, want ErrPlatformPush", err)
	}
	v.cfg.AESKey = strings.Repeat("B", 43)
	if _, err := newReceiver(t, v.cfg).Open(v.query(), []byte(v.bodies()["XML"])); errors.Is(err, wechat.ErrPlatformPush) {
		t.Errorf("with a wrong key: got %v, want a plain ErrPush", err)
	}
}

func TestThePreviousKeyIsTaken(t *testing.T) {
	t.Parallel()
	v := pushVectors[0]
	v.cfg.AESKey, v.cfg.PreviousKey = strings.Repeat("B", 43), v.cfg.AESKey
	push, err := newReceiver(t, v.cfg).Open(v.query(), []byte(v.bodies()["JSON"]))
	if err != nil || push.Text("Event") != "debug_demo" {
		t.Errorf("got %q %v, want debug_demo", push.Text("Event"), err)
	}
}

func TestPushConfigsThatCantBeRight(t *testing.T) {
	t.Parallel()
	good := pushVectors[0].cfg
	for name, change := range map[string]func(*wechat.PushConfig){
		"no token":            func(c *wechat.PushConfig) { c.Token = "" },
		"a token with blanks": func(c *wechat.PushConfig) { c.Token = "s3cret token" },
		"a token too long":    func(c *wechat.PushConfig) { c.Token = strings.Repeat("s3cret", 20) },
		"no key":              func(c *wechat.PushConfig) { c.AESKey = "" },
		"a key with its =":    func(c *wechat.PushConfig) { c.AESKey += "=" },
		"a short key":         func(c *wechat.PushConfig) { c.AESKey = c.AESKey[1:] },
		"a key with a line":   func(c *wechat.PushConfig) { c.AESKey = c.AESKey[:42] + "\n" },
		"another alphabet":    func(c *wechat.PushConfig) { c.AESKey = c.AESKey[:42] + "!" },
		"a bad previous key":  func(c *wechat.PushConfig) { c.PreviousKey = "s3cret" },
	} {
		cfg := good
		change(&cfg)
		_, err := wechat.NewPushReceiver(cfg)
		if err == nil {
			t.Errorf("%s: got no error, want one", name)
		} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: got %v, which quotes a secret", name, err)
		}
	}
}

func TestPushesAreReadAsWeChatWritesThem(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"the guide's JSON": {
			`{"CreateTime":1627359464,"OpenID":"o1","RevokeInfo":"1","OpenPID":" G7esq5NVzP76HIHoB95t4CVBP6to"}`,
			`{"CreateTime":1627359464,"OpenID":"o1","OpenPID":"G7esq5NVzP76HIHoB95t4CVBP6to","RevokeInfo":"1"}`,
		},
		"blanks in names and a comma too many": {`{" OpenID": "o1", " AppID":"wx1 ", "L": [1, 2, ], }`, `{"AppID":"wx1","L":[1,2],"OpenID":"o1"}`},
		"commas inside of texts":               {`{"a":",}","b":"\",]","c":"\\"}`, `{"a":",}","b":"\",]","c":"\\"}`},
		"a number beyond float64":              {`{"MsgId":23637352235060881}`, `{"MsgId":23637352235060881}`},
		"a user's own words":                   {`{"Content":" <b>hi & bye \u4f60 "}`, `{"Content":" <b>hi & bye 你 "}`},
		"true, null and objects":               {`{"a":true,"b":null,"c":{" d ":" e "}}`, `{"a":true,"b":null,"c":{"d":"e"}}`},
		"the guide's XML": {
			"<xml>\n  <OpenID><![CDATA[o1]]></OpenID>\n  < OpenPID><![CDATA[G7]]></ OpenPID>\n  <CreateTime> 1626857200 </CreateTime>\n</xml>",
			`{"CreateTime":"1626857200","OpenID":"o1","OpenPID":"G7"}`,
		},
		"CDATA with tags in it": {"<xml><Content><![CDATA[< b></a>]]></Content></xml>", `{"Content":"< b></a>"}`},
		"XML lists":             {"<xml><L><I>1</I><I>2</I><I><N>3</N></I></L></xml>", `{"L":{"I":["1","2",{"N":"3"}]}}`},
		"XML's own entities":    {"<xml><a>&lt;&amp;&#20320;</a></xml>", `{"a":"<&你"}`},
		"an empty element":      {"<?xml version='1.0' encoding='UTF-8'?><xml><a/><b></b></xml>", `{"a":"","b":""}`},
		"nothing in it":         {"<xml></xml>", `{}`},
		"a byte order mark":     {"\ufeff{\"a\":1}", `{"a":1}`},
	} {
		push, err := wechat.ReadPush([]byte(row.text))
		if err != nil {
			t.Errorf("%s: got %v, want it read", name, err)
			continue
		}
		got, err := push.MarshalJSON()
		if err != nil || string(got) != row.want {
			t.Errorf("%s: got %s %v, want %s", name, got, err, row.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s: got %s, want JSON", name, got)
		}
	}
}

func TestBombsAndAmbiguousPushesAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":          "",
		"a list":           "[1]",
		"a text":           `"x"`,
		"a form":           "a=b",
		"two objects":      `{"a":1}{"a":2}`,
		"two of one name":  `{"OpenID":"o1","OpenID":"o2"}`,
		"the same by trim": `{"OpenID":"o1"," OpenID":"o2"}`,
		"cut JSON":         `{"a":{"b":1}`,
		"deep JSON":        strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000),
		"deep lists":       `{"a":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + "}",
		"wide JSON":        `{"a":[` + strings.Repeat("0,", 200000) + "0]}",
		"deep XML":         strings.Repeat("<a>", 100000) + strings.Repeat("</a>", 100000),
		"wide XML":         "<xml>" + strings.Repeat("<a/>", 100000) + "</xml>",
		"cut XML":          "<xml><a>1</a>",
		"two roots":        "<xml><a>1</a></xml><xml><a>2</a></xml>",
		"billion laughs": `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>` +
			"<xml><Encrypt>&b;</Encrypt></xml>",
		"an external entity": `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><Encrypt>&f;</Encrypt></xml>`,
		"a document type":    `<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><xml><a>1</a></xml>`,
		"one inside":         `<xml><!DOCTYPE x><a>1</a></xml>`,
		"an unknown entity":  "<xml><a>&nbsp;</a></xml>",
		"another encoding":   "<?xml version='1.0' encoding='UTF-16'?><xml><a>1</a></xml>",
	} {
		if push, err := wechat.ReadPush([]byte(text)); !errors.Is(err, wechat.ErrUnreadablePush) {
			t.Errorf("%s: got %v %v, want ErrUnreadablePush", name, push, err)
		}
	}
}

// In XML an element may come twice; then it is neither the one nor the other.
func TestAnElementThatComesTwiceIsNoText(t *testing.T) {
	t.Parallel()
	push, err := wechat.ReadPush([]byte("<xml><OpenID>o1</OpenID><OpenID>o2</OpenID></xml>"))
	if got := push.Text("OpenID"); err != nil || got != "" {
		t.Errorf("got %q %v, want none", got, err)
	}
}

// Without a signature somebody sends one tag with two hundred thousand attributes.
func TestAttackPushOfAttributesCostsLittle(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	v := pushVectors[0]
	r, body := newReceiver(t, v.cfg), []byte("<xml"+strings.Repeat(` a=""`, 200_000)+"/>")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := r.Open(v.query(), body); !errors.Is(err, wechat.ErrPush) {
		t.Errorf("got %v, want ErrPush", err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("got %d MiB for a body of 1 MiB", got>>20)
	}
}
