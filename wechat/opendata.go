// The cloudID: what the phone button gives to mini programs that use WeChat's cloud development.

package wechat

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// MaxCloudID bounds the length of a cloudID. Real ones have some 64 characters:
// "50_ok3XQmqOENVW8Y2F…".
const MaxCloudID = 512

// ValidCloudID reports whether a text may be a cloudID. WeChat does not document the alphabet, so
// any visible ASCII passes.
func ValidCloudID(id string) bool {
	return id != "" && len(id) <= MaxCloudID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || '~' < r })
}

// PhoneFromCloudID exchanges the cloudID of a phone button for the phone number. A cloudID lives 5
// minutes. The openid must be that of the verified session, never one the client names.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/cloudbase/others/api_getopendata.html
func (c *Client) PhoneFromCloudID(ctx context.Context, cloudID, openid string) (Phone, error) {
	if !ValidCloudID(cloudID) {
		return Phone{}, badCloudID("the cloudID is empty, far too long, or holds strange characters; WeChat was not asked")
	}
	if err := checkOpenID(OpOpenData, openid); err != nil {
		return Phone{}, err
	}

	body, err := json.Marshal(map[string][]string{"cloudid_list": {cloudID}})
	if err != nil {
		return Phone{}, unavailable(OpOpenData, "the request could not be made")
	}
	a, err := c.business(ctx, request{
		op:     OpOpenData,
		method: http.MethodPost,
		path:   "/wxa/getopendata",
		query:  url.Values{"openid": {openid}},
		body:   body,
	})
	if err != nil {
		return Phone{}, err
	}

	info, err := openData(a, cloudID)
	if err != nil {
		return Phone{}, err
	}
	p, wrong := parsePhone(info, c.appID)
	if wrong != "" {
		return Phone{}, badAnswer(OpOpenData, wrong)
	}
	if !p.freshAt(c.now()) {
		return Phone{}, badCloudID("the cloudID is older than 5 minutes, or the clock is wrong")
	}
	return p.whole(), nil
}

// openData finds the phone that a cloudID stands for. WeChat does not document how it says that a
// cloudID is wrong or too old, so whatever lacks the data means that.
func openData(a answer, cloudID string) (answer, error) {
	var list []json.RawMessage
	if !a.has("data_list") || json.Unmarshal(a["data_list"], &list) != nil {
		return nil, badAnswer(OpOpenData, "data_list is missing or not a list")
	}
	for _, raw := range list {
		entry, ok := parseObject(raw)
		if !ok {
			return nil, badAnswer(OpOpenData, "data_list holds something else than objects")
		}
		if id, ok := entry.text("cloud_id"); !ok || id != cloudID {
			continue
		}

		inner, ok := entry.nested("json")
		if !ok {
			return nil, badCloudID("WeChat has no data for the cloudID")
		}
		if id, ok := inner.text("cloudID"); inner.has("cloudID") && (!ok || id != cloudID) {
			return nil, badAnswer(OpOpenData, "the data is that of another cloudID")
		}
		data, ok := inner.object("data")
		if !ok || !data.has("phoneNumber") {
			return nil, badCloudID("WeChat has no phone number for the cloudID")
		}
		return data, nil
	}
	return nil, badCloudID("WeChat does not know the cloudID")
}

// nested returns a field that is a JSON object, or a string of one: WeChat's table says the latter,
// its example shows the former.
func (a answer) nested(name string) (answer, bool) {
	if s, ok := a.text(name); ok {
		return parseObject([]byte(s))
	}
	return a.object(name)
}

func badCloudID(reason string) *Error {
	return &Error{Op: OpOpenData, Class: ClassCode, Reason: reason}
}
