// What pushes are about.

package wechat_test

import (
	"slices"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func readPush(t *testing.T, text string) wechat.Push {
	t.Helper()
	push, err := wechat.ReadPush([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return push
}

const revocation = `{"FromUserName":"oWeChat","CreateTime":1627359464,"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oAlice",` +
	`"AppID":"wx1","RevokeInfo":"8"`

func TestWhoAPushIsAbout(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text, kind, openid string
		concerns           bool
	}{
		"a revocation":            {revocation + "}", "user_authorization_revoke", "oAlice", true},
		"in XML":                  {"<xml><MsgType>Event</MsgType><Event>user_authorization_cancellation</Event><OpenID>oAlice</OpenID></xml>", "user_authorization_cancellation", "oAlice", true},
		"of another app":          {`{"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oAlice","AppID":"wx2"}`, "user_authorization_revoke", "oAlice", false},
		"of a plugin":             {revocation + `,"PluginID":"wx1"}`, "user_authorization_revoke", "oAlice", false},
		"with an empty plugin":    {revocation + `,"PluginID":" "}`, "user_authorization_revoke", "oAlice", true},
		"without its user":        {`{"FromUserName":"oWeChat","MsgType":"event","Event":"user_info_modified"}`, "user_info_modified", "", true},
		"a user that is a list":   {`{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":["oAlice"]}`, "user_authorization_cancellation", "", true},
		"a user with a line":      {`{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oAlice\r\nX: y"}`, "user_authorization_cancellation", "", true},
		"a message":               {`{"FromUserName":"oAlice","MsgType":"text","Content":"x","MsgId":1}`, "text", "oAlice", false},
		"a message called Event":  {`{"FromUserName":"oAlice","MsgType":"text","Event":"user_authorization_cancellation"}`, "text", "oAlice", false},
		"a name of an odd form":   {`{"MsgType":"event","Event":"a b"}`, "event", "", false},
		"another case is another": {`{"MsgType":"event","Event":"User_Authorization_Revoke","OpenID":"oAlice"}`, "User_Authorization_Revoke", "oAlice", false},
	} {
		push := readPush(t, row.text)
		if got := push.Kind(); got != row.kind {
			t.Errorf("%s: got kind %q, want %q", name, got, row.kind)
		}
		if got := push.OpenID(); got != row.openid {
			t.Errorf("%s: got openid %q, want %q", name, got, row.openid)
		}
		if got := push.Concerns("wx1"); got != row.concerns {
			t.Errorf("%s: concerns wx1: got %t, want %t", name, got, row.concerns)
		}
	}
}

func TestRevokedKinds(t *testing.T) {
	t.Parallel()
	for info, row := range map[string]struct{ kinds, unknown []string }{
		`"8"`:           {[]string{"8"}, nil},
		`8`:             {[]string{"8"}, nil},
		`" 8 "`:         {[]string{"8"}, nil},
		`"6,19;20, 12"`: {[]string{"6", "19", "20", "12"}, nil},
		`"9"`:           {[]string{"9"}, []string{"9"}},
		`"205;8"`:       {[]string{"205", "8"}, []string{"205"}},
		`""`:            {nil, nil},
		`["8",6]`:       {[]string{"8", "6"}, nil},
		`"|8、20|"`:      {[]string{"8", "20"}, nil},
		`{"a":"8"}`:     {nil, nil},
	} {
		kinds, unknown := readPush(t, `{"RevokeInfo":`+info+`}`).Revoked()
		if !slices.Equal(kinds, row.kinds) || !slices.Equal(unknown, row.unknown) {
			t.Errorf("%s: got %v, unknown %v; want %v, unknown %v", info, kinds, unknown, row.kinds, row.unknown)
		}
	}
}

func TestRepeatsAreToldFromOtherPushes(t *testing.T) {
	t.Parallel()
	xpay := `{"FromUserName":"oAlice","CreateTime":1,"MsgType":"event","Event":"xpay_refund_notify","RetryTimes":`
	for name, row := range map[string]struct {
		a, b string
		same bool
	}{
		"a revocation":           {revocation + "}", revocation + `,"OpenPID":"new"}`, true},
		"of another kind":        {revocation + "}", `{"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oAlice","AppID":"wx1","CreateTime":1627359464,"RevokeInfo":"6"}`, false},
		"of another user":        {revocation + "}", `{"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oBob","AppID":"wx1","CreateTime":1627359464,"RevokeInfo":"8"}`, false},
		"of a list":              {`{"MsgType":"event","Event":"user_authorization_revoke","RevokeInfo":["8"]}`, `{"MsgType":"event","Event":"user_authorization_revoke","RevokeInfo":["6"]}`, false},
		"a second later":         {revocation + "}", `{"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oAlice","AppID":"wx1","CreateTime":1627359465,"RevokeInfo":"8"}`, false},
		"a message":              {`{"MsgType":"text","MsgId":23637352235060880,"CreateTime":1}`, `{"MsgType":"text","MsgId":23637352235060880,"CreateTime":2}`, true},
		"ids that float64 joins": {`{"MsgType":"text","MsgId":23637352235060880}`, `{"MsgType":"text","MsgId":23637352235060881}`, false},
		"a payment tried again":  {xpay + "0}", xpay + "1}", true},
		"two events of a second": {`{"FromUserName":"o1","CreateTime":1,"MsgType":"event","Event":"wxa_media_check","trace_id":"a"}`, `{"FromUserName":"o1","CreateTime":1,"MsgType":"event","Event":"wxa_media_check","trace_id":"b"}`, false},
	} {
		if same := readPush(t, row.a).Identity() == readPush(t, row.b).Identity(); same != row.same {
			t.Errorf("%s: got the same %t, want %t", name, same, row.same)
		}
	}
}
