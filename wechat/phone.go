// The phone code.

package wechat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// Phone is a phone number that WeChat verified for a user. Printing or logging it shows none of its fields.
type Phone struct {
	Number      string    // as WeChat shows it; numbers outside China carry their country code
	PureNumber  string    // without country code
	CountryCode string    // "86"
	At          time.Time // when the user gave it
}

var (
	// phoneNumberPattern allows whatever visible way of writing a number, and no byte that could end a header.
	phoneNumberPattern = regexp.MustCompile(`^[!-~]([ -~]{0,30}[!-~])?$`)

	// countryCodePattern allows as much; E164 is where digits are asked for.
	countryCodePattern = regexp.MustCompile(`^[!-~]{1,8}$`)
)

// maxTimestamp is the end of the year 9999, the last second that JSON and most databases can hold.
const maxTimestamp = 253402300799

// PhoneNumber exchanges the code of a phone button (bindgetphonenumber or bindgetrealtimephonenumber, not the code of wx.login).
// A code lives 5 minutes and works once.
//
// The openid must be that of the verified session, never one the client names: WeChat then refuses a code that another user
// tapped for, so that nobody can attach somebody else's number to their own session.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber.html
func (c *Client) PhoneNumber(ctx context.Context, code, openid string) (Phone, error) {
	leave, err := c.enter(OpPhoneNumber)
	if err != nil {
		return Phone{}, err
	}
	defer leave()
	if err := checkCode(OpPhoneNumber, code); err != nil {
		return Phone{}, err
	}
	if !userIDPattern.MatchString(openid) {
		// Sent empty, WeChat would not check whose code it is. That is a bug of the calling program, not the client's fault.
		return Phone{}, &Error{Op: OpPhoneNumber, Class: ClassConfig, Reason: "no valid openid given; WeChat was not asked"}
	}

	body, err := json.Marshal(map[string]string{"code": code, "openid": openid})
	if err != nil {
		return Phone{}, unavailable(OpPhoneNumber, "the request could not be made")
	}
	tok, err := c.tokens.get(ctx, OpPhoneNumber)
	if err != nil {
		return Phone{}, err
	}
	a, err := c.phoneNumber(ctx, tok, body)

	// The tap was paid for, so a stale token must not cost the user another one. Once only: WeChat may hand back the token it
	// just refused.
	if ClassOf(err) == ClassToken {
		c.tokens.drop(tok)
		tok, err = c.tokens.get(ctx, OpPhoneNumber)
		if err != nil {
			return Phone{}, err
		}
		a, err = c.phoneNumber(ctx, tok, body)
	}
	if err != nil {
		return Phone{}, err
	}
	return parsePhone(a, c.appID)
}

func (c *Client) phoneNumber(ctx context.Context, tok token, body []byte) (answer, error) {
	return c.call(ctx, request{
		op:     OpPhoneNumber,
		method: http.MethodPost,
		path:   "/wxa/business/getuserphonenumber",
		query:  url.Values{"access_token": {tok.value}},
		body:   body,

		signable: true,
	})
}

func parsePhone(a answer, appID string) (Phone, error) {
	info, ok := a.object("phone_info")
	if !ok {
		return Phone{}, badAnswer(OpPhoneNumber, "phone_info is missing")
	}

	var p Phone
	p.Number, ok = info.text("phoneNumber")
	if !ok || !phoneNumberPattern.MatchString(p.Number) {
		return Phone{}, badAnswer(OpPhoneNumber, "phoneNumber is missing or malformed")
	}
	p.PureNumber, ok = info.text("purePhoneNumber")
	if !ok || !phoneNumberPattern.MatchString(p.PureNumber) {
		return Phone{}, badAnswer(OpPhoneNumber, "purePhoneNumber is missing or malformed")
	}
	p.CountryCode, ok = info.textOrNumber("countryCode")
	if !ok || !countryCodePattern.MatchString(p.CountryCode) {
		return Phone{}, badAnswer(OpPhoneNumber, "countryCode is missing or malformed")
	}

	mark, ok := info.object("watermark")
	if !ok {
		return Phone{}, badAnswer(OpPhoneNumber, "watermark is missing")
	}
	if got, ok := mark.text("appid"); !ok || got != appID {
		return Phone{}, badAnswer(OpPhoneNumber, "the watermark is not this mini program's")
	}
	at, ok := mark.integer("timestamp")
	if !ok || at <= 0 || at > maxTimestamp {
		return Phone{}, badAnswer(OpPhoneNumber, "the watermark's timestamp is missing or malformed")
	}
	p.At = time.Unix(at, 0)
	return p, nil
}

var (
	countryDigits  = regexp.MustCompile(`^[1-9][0-9]{0,2}$`)
	nationalDigits = regexp.MustCompile(`^[0-9]{1,14}$`)
)

// E164 returns the number in the form "+8613800138000", and "" when country code or number are not plain digits or are too long
// for that form.
func (p Phone) E164() string {
	// ITU-T E.164 allows 15 digits in all.
	if !countryDigits.MatchString(p.CountryCode) || !nationalDigits.MatchString(p.PureNumber) ||
		len(p.CountryCode)+len(p.PureNumber) > 15 {
		return ""
	}
	return "+" + p.CountryCode + p.PureNumber
}

// String returns a fixed text.
func (p Phone) String() string {
	return "wechat.Phone(hidden)"
}

// GoString returns a fixed text.
func (p Phone) GoString() string {
	return p.String()
}

// Format prints a fixed text, whatever the verb.
func (p Phone) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, p.String())
}

// LogValue returns a fixed text.
func (p Phone) LogValue() slog.Value {
	return slog.StringValue(p.String())
}
