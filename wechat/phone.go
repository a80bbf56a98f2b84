// The phone code.

package wechat

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Phone is a phone number that WeChat verified for a user. Printing or logging it shows none of its
// fields.
type Phone struct {
	redacted

	Number      string    // as WeChat shows it; numbers outside China carry their country code
	PureNumber  string    // without country code; "" if WeChat leaves it out
	CountryCode string    // "86"; "" if WeChat leaves it out
	At          time.Time // when the user gave it; zero if WeChat leaves it out
}

var (
	// phoneNumberPattern allows any visible way of writing a number, and no byte that could end a
	// header.
	phoneNumberPattern = regexp.MustCompile(`^[!-~]([ -~]{0,30}[!-~])?$`)

	// countryCodePattern allows as much; E164 is where digits are asked for.
	countryCodePattern = regexp.MustCompile(`^[!-~]{1,8}$`)
)

// maxTimestamp is the end of the year 9999, the last second that JSON and most databases can hold.
const maxTimestamp = 253402300799

// PhoneNumber exchanges the code of a phone button (bindgetphonenumber or
// bindgetrealtimephonenumber, not the code of wx.login). A code lives 5 minutes and works once.
//
// The openid must be that of the verified session, never one the client names: WeChat then refuses
// a code that another user tapped for, so that no user can attach another's number to their own
// session.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber.html
func (c *Client) PhoneNumber(ctx context.Context, code, openid string) (Phone, error) {
	if err := checkCode(OpPhoneNumber, code); err != nil {
		return Phone{}, err
	}
	if err := checkOpenID(OpPhoneNumber, openid); err != nil {
		return Phone{}, err
	}

	body, err := json.Marshal(map[string]string{"code": code, "openid": openid})
	if err != nil {
		return Phone{}, unavailable(OpPhoneNumber, "the request could not be made")
	}
	a, err := c.business(ctx, request{
		op:     OpPhoneNumber,
		method: http.MethodPost,
		path:   "/wxa/business/getuserphonenumber",
		body:   body,

		signable: true,
	})
	if err != nil {
		return Phone{}, err
	}

	info, ok := a.object("phone_info")
	if !ok {
		return Phone{}, badAnswer(OpPhoneNumber, "phone_info is missing")
	}
	p, wrong := parsePhone(info, c.appID)
	if wrong != "" {
		return Phone{}, badAnswer(OpPhoneNumber, wrong)
	}
	return p.whole(), nil
}

// parsePhone reads a phone object, from whichever call it comes. wrong names what does not fit; it
// is empty when all does. The user's tap is paid for, so what is not needed may be missing: a
// number and whose it is are enough.
func parsePhone(info answer, appID string) (p Phone, wrong string) {
	p.Number = info.visible("phoneNumber", phoneNumberPattern)
	p.PureNumber = info.visible("purePhoneNumber", phoneNumberPattern)
	p.CountryCode = info.visible("countryCode", countryCodePattern)
	if p.Number == "" && p.PureNumber == "" {
		return Phone{}, "phoneNumber is missing or malformed"
	}

	mark, ok := info.object("watermark")
	if !ok {
		return Phone{}, "watermark is missing"
	}
	if got, ok := mark.text("appid"); !ok || got != appID {
		return Phone{}, "the watermark is not this mini program's"
	}
	if at, ok := mark.integer("timestamp"); ok && 0 < at && at <= maxTimestamp {
		p.At = time.Unix(at, 0)
	}
	return p, ""
}

// visible returns a text or number that fits the pattern, "" for anything else.
func (a answer) visible(name string, pattern *regexp.Regexp) string {
	s, ok := a.textOrNumber(name)
	if !ok || !pattern.MatchString(s) {
		return ""
	}
	return s
}

// whole returns p with the number that WeChat shows, if WeChat gave the parts alone.
func (p Phone) whole() Phone {
	if p.Number == "" {
		p.Number = p.PureNumber
		if country := strings.TrimPrefix(p.CountryCode, "+"); country != "86" {
			p.Number = country + p.PureNumber
		}
	}
	return p
}

const (
	// phoneLife bounds the age of a code or cloudID of the phone button, as WeChat counts it.
	phoneLife = 5 * time.Minute

	// clockSkew bounds how far WeChat's clock may run ahead of ours.
	clockSkew = time.Minute
)

// freshAt reports whether the user gave the number a short while before now.
func (p Phone) freshAt(now time.Time) bool { return fresh(p.At, now) }

func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return age <= phoneLife && age >= -clockSkew
}

var (
	// callingCode has up to three digits. The islands that share country code 1 are told apart by
	// the four that WeChat gives.
	callingCode    = regexp.MustCompile(`^([1-9][0-9]{0,2}|1[0-9]{3})$`)
	nationalDigits = regexp.MustCompile(`^[0-9]{1,14}$`)
	wholeDigits    = regexp.MustCompile(`^[1-9][0-9]{1,14}$`)
	chineseMobile  = regexp.MustCompile(`^1[3-9][0-9]{9}$`)
	writing        = strings.NewReplacer("+", "", " ", "", "-", "")
)

// E164 returns the number in the form "+8613800138000", and "" when it does not follow from what
// WeChat gave, or does not fit.
func (p Phone) E164() string {
	whole, pure, country := writing.Replace(p.Number), writing.Replace(p.PureNumber), strings.TrimPrefix(p.CountryCode, "+")
	switch {
	case country == "" && pure == "":
		if strings.HasPrefix(p.Number, "+") && wholeDigits.MatchString(whole) {
			return "+" + whole
		}
	case pure == "":
		pure = strings.TrimPrefix(whole, country)
	case country == "":
		country, _ = strings.CutSuffix(whole, pure)
		if country == "" && chineseMobile.MatchString(pure) { // all others carry theirs
			country = "86"
		}
	}
	if !callingCode.MatchString(country) || !nationalDigits.MatchString(pure) || len(country)+len(pure) > maxE164 {
		return ""
	}
	return "+" + country + pure
}

// maxE164 is the number of digits that ITU-T E.164 allows in all.
const maxE164 = 15
