// Configurations that only JSON can say.

package wechatauth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth"
)

// JSON can say what a Caddyfile cannot: null, negative, nothing at all. It is taken or refused, by
// an error.
func TestOddJSON(t *testing.T) {
	t.Parallel()
	const secret = `"secret":"0123456789abcdef0123456789abcdef"`
	for text, valid := range map[string]bool{
		`"hook":null`: true,
		`"hook":{}`:   false,
		`"hook":{"url":null,"secret":null,"timeout":null,"on_error":null}`:       false,
		`"hook":{"url":"http://a/b"}`:                                            false,
		`"hook":{"url":"http://a/b",` + secret + `}`:                             true,
		`"hook":{"url":"http://a/b",` + secret + `,"timeout":-1}`:                false,
		`"hook":{"url":"http://a/b",` + secret + `,"timeout":0}`:                 true,
		`"hook":{"url":"http://a/b",` + secret + `,"on_error":"perhaps"}`:        false,
		`"hook":{"url":"http://a/b\r\nX: y",` + secret + `}`:                     false,
		`"hook":{"url":"http://a b/",` + secret + `}`:                            false,
		`"hook":{"url":"http://:80/",` + secret + `}`:                            false,
		`"hook":{"url":"//a/b",` + secret + `}`:                                  false,
		`"hook":{"url":"unix//run/x",` + secret + `}`:                            false,
		`"hook":{"url":"http://[::1/",` + secret + `}`:                           false,
		`"hook":{"url":"http://a/{env.NO_SUCH_VARIABLE}",` + secret + `}`:        false,
		`"hook":{"url":"http://a/b","secret":"` + strings.Repeat("x", 31) + `"}`: false,
		`"profile":null`:                                true,
		`"profile":{}`:                                  true,
		`"profile":{"max_upload":-1}`:                   false,
		`"profile":{"max_upload":1}`:                    true,
		`"profile":{"max_upload":67108865}`:             false,
		`"profile":{"max_upload":9223372036854775807}`:  false,
		`"profile":{"max_upload":-9223372036854775808}`: false,
		`"profile":{"avatar":-5}`:                       false,
		`"profile":{"avatar":15}`:                       false,
		`"profile":{"avatar":2049}`:                     false,
		`"profile":{"check":null}`:                      true,
		`"encrypted_data":null`:                         true,
		`"limit":null`:                                  true,
		`"limit":{"profile":null}`:                      true,
		`"limit":{"profile":{}}`:                        true, // as "off"
		`"limit":{"profile":{"events":-1}}`:             false,
		`"limit":{"profile":{"events":1}}`:              false,
		`"limit":{"profile":{"events":1,"window":-1}}`:  false,
	} {
		testOddJSON(t, `{"apps":[{"id":"wx1","secret":"s"}],"store":{"type":"memory"},`+text+`}`, valid)
	}
	for app, valid := range map[string]bool{
		`"signing":null`:         true,
		`"signing":{}`:           false,
		`"signing":{"key":null}`: false,
		`"signing":{"key":{},"private_key":{},"platform_certificates":[]}`:                                                                   false,
		`"signing":{"key":{"serial":"k"},"private_key":{"serial":"p"},"platform_certificates":[null]}`:                                       false,
		`"signing":{"key":{"serial":"k","value":""},"private_key":{"serial":"p","value":""},"platform_certificates":[{}]}`:                   false,
		`"signing":{"key":{"serial":"k","value":"AAAA"},"private_key":{"serial":"p","value":"/dev/null"},"platform_certificates":[{}]}`:      false,
		`"signing":{"key":{"serial":"k","value":"x"},"private_key":{"serial":"p","value":"-----BEGIN"},"platform_certificates":[{},{}]}`:     false,
		`"signing":{"key":{"serial":"k","value":"{x}"},"private_key":{"serial":"p","value":"{x}"},"platform_certificates":[{"value":"{}"}]}`: false,
		`"access_token":null`:                  true,
		`"access_token":"stable"`:              true,
		`"access_token":"STABLE"`:              false,
		`"access_token":"http://"`:             false,
		`"access_token":"https:///x"`:          false,
		`"access_token":"ftp://a/b"`:           false,
		`"access_token":"http://a b/"`:         false,
		`"access_token":"http://a/\u0000"`:     false,
		`"access_token":"http://u:p@a/t?k=v"`:  true,
		`"access_token":"http://a/t#fragment"`: false,
	} {
		testOddJSON(t, `{"apps":[{"id":"wx1","secret":"s",`+app+`}],"store":{"type":"memory"}}`, valid)
	}
}

func testOddJSON(t *testing.T, text string, valid bool) {
	t.Helper()
	h := new(wechatauth.Handler)
	if err := json.Unmarshal([]byte(text), h); err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	err := h.Provision(newContext(t))
	if (err == nil) != valid {
		t.Errorf("%s: got %v, want it valid: %v", text, err, valid)
	}
	if err != nil && strings.Contains(err.Error(), "0123456789abcdef0123456789abcdef") {
		t.Errorf("%s: the error shows the secret: %v", text, err)
	}
	if err := h.Cleanup(); err != nil {
		t.Errorf("%s: Cleanup: %v", text, err)
	}
}
