// The one table from WeChat's errcode to a Class.

package wechat

import (
	"net/netip"
	"regexp"
	"time"
)

// codeBusy is "system error": try again a little later.
const codeBusy = -1

// codeRetiredIP is answered by an address that WeChat no longer uses.
const codeRetiredIP = 48017

// codeDayQuota is answered until midnight in Beijing; the other quotas are a minute's.
const codeDayQuota = 45009

// beijing has no daylight saving time, and the machine may have no time zones.
var beijing = time.FixedZone("CST", 8*60*60)

func untilMidnight(now time.Time) time.Duration {
	now = now.In(beijing)
	year, month, day := now.Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, beijing).Sub(now)
}

// These two are how WeChat says that a session_key is not the user's: there is none, or it is
// another.
const (
	codeNoSession    = 87007
	codeOtherSession = 87009
)

// reasons holds what an operator or a developer should know about an errcode. WeChat's own errmsg
// is never shown: it is free text that quotes what was sent.
var reasons = map[int]string{
	-1:    "WeChat is busy",
	40001: "the AppSecret is wrong, or the access token is invalid or not the latest",
	40003: "the openid is invalid for this app",
	40013: "the AppID is invalid, or is not the app the code was made for",
	40014: "the access token is invalid",
	40029: "the code is invalid, expired, or made for another app or another purpose",
	40097: "an argument is invalid",
	40125: "the AppSecret is wrong; was it reset?",
	40129: "the scene is invalid",
	40163: "the code has been used",
	40164: "the IP whitelist is on and this server's address is not in it; add it in the console (开发管理, 开发设置)",
	40226: "WeChat blocks this user as high-risk",
	40230: missingHeader + "Wechatmp-Serial",
	40231: missingHeader + "Wechatmp-TimeStamp",
	40232: missingHeader + "Wechatmp-Signature",
	40233: missingHeader + "Wechatmp-Appid",
	40234: "WeChat cannot verify our signature: the private key is not the half of the public key in the console (开发设置, API安全), " +
		"or a proxy changes the call",
	40235: "WeChat cannot decrypt the call: the symmetric key or its number is not the console's (开发设置, API安全), or a proxy " +
		"changes the URL",
	40236: "the AppID the call was signed for is invalid",
	40237: "the access token is not of the AppID the call was signed for; does the token server serve another app?",
	40238: "signing is configured here, but the console has no symmetric key (开发设置, API安全)",
	40239: "signing is configured here, but the console has no public key (开发设置, API安全)",
	40240: "the signature's time is too far from WeChat's; set this server's clock",
	40243: "the AppSecret is frozen; unfreezing takes effect after 10 minutes",
	41002: "the AppID is missing",
	41004: "the AppSecret is missing",
	42001: "the access token is expired",
	43104: "the openid does not belong to this app",
	44991: "the quota for this minute is used up",
	45009: "the quota for today is used up",
	45011: "the quota for this minute is used up",
	48001: "the account is not allowed this call (is it certified, was the ability granted?)",
	48017: "the server's address was retired by WeChat; resolve its name again",
	50002: "the account is restricted",
	50004: "the account may not use the access token call",
	50007: "the account is frozen",
	61010: "the user was not active in the last 2 hours",
	61080: "WeChat has no risk rank for the user at the moment",
	61081: "risk ranks are asked for too often",
	87007: "the user has no session_key, or it is expired",
	87008: "the method of the signature is invalid",
	87009: "the session_key is not the user's current one",
	87014: "the text is risky",
	89503: "an administrator of the mini program must confirm calls from this address",
	89506: "an administrator refused calls from this address; WeChat allows another try after 24 hours",
	89507: "an administrator refused calls from this address; WeChat allows another try after 1 hour",

	934011: "the call is plain, and the console demands encrypted and signed ones (开发设置, API安全); configure signing",
}

// missingHeader begins the reasons of 40230 to 40233. Signed calls have all four headers.
const missingHeader = "configure signing (开发设置, API安全 in the console), or find the proxy that takes the header away: "

// classify maps an errcode other than 0. The same code means different things in different calls:
// 40001 is a stale access token in a business call, and a wrong AppSecret when asking for one.
func classify(op string, code int) Class {
	switch code {
	case codeBusy:
		return ClassBusy
	case 45011, 45009, 44991:
		return ClassQuota
	}

	// The token call takes no code and belongs to no user: whatever else it refuses is for the
	// operator.
	if op == OpToken || op == OpTokenServer {
		return ClassConfig
	}
	switch code {
	case 40029:
		return ClassCode
	case 40163:
		return ClassCodeUsed
	case 40226:
		return ClassBlocked
	}

	if op == OpCode2Session {
		return ClassConfig
	}
	switch code {
	case 40001, 40014, 42001:
		return ClassToken
	}
	return classifyBusiness(op, code)
}

// classifyRelayed maps the errcodes of calls that other programs made. What these codes say of the
// account concerns the operator, the rest the program.
func classifyRelayed(code int) Class {
	switch code {
	case codeBusy, 45011, 45009, 44991, 40001, 40014, 42001, 40164, 40243, 48001, 50002, 50007, 934011:
		return classify("", code)
	}
	return ClassRefused
}

// classifyBusiness maps what is left for the calls with an access token. The token is known to be
// good here, and the openid is one that WeChat gave us, so a mismatch is about what the client
// sent.
func classifyBusiness(op string, code int) Class {
	switch op {
	case OpPhoneNumber:
		switch code {
		case 40003, 40013, 43104:
			return ClassCode // of another user or of another mini program
		}
	case OpOpenData:
		switch code {
		case 40003, 40013, 40097, 43104:
			return ClassCode // likewise; 40097 because the cloudID is the only argument that can be odd
		}
	case OpCheckSession:
		switch code {
		case codeNoSession, codeOtherSession:
			return ClassCode // the client must call wx.login
		}
	case OpUserRisk:
		switch code {
		case 61010:
			return ClassInactive
		case 61080:
			return ClassBusy
		case 61081, 9410009:
			return ClassQuota
		}
	case OpCheckNickname:
		switch code {
		case 61010:
			return ClassInactive
		case 87014:
			return ClassContent
		}
	}
	return ClassConfig
}

// refused makes the error for an errcode other than 0. Two things are taken from errmsg, both by
// their own alphabet: the request id, and for 40164 the address.
func refused(op string, code int, errmsg string) *Error {
	e := &Error{Op: op, Code: code, Class: classify(op, code), Reason: reasons[code]}
	if e.Reason == "" {
		e.Reason = "not a code this program knows; see WeChat's list of return codes"
	}
	if m := ridPattern.FindStringSubmatch(errmsg); m != nil {
		e.RID = m[1]
	}
	if code == 40164 {
		e.IP = addressIn(errmsg)
	}
	return e
}

var (
	ridPattern     = regexp.MustCompile(`rid: ([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8})`)
	addressPattern = regexp.MustCompile(`[0-9a-fA-F.:]{2,45}`)
)

// addressIn returns the first IP address in WeChat's text ("invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4,
// not in whitelist rid: …").
func addressIn(errmsg string) string {
	for _, s := range addressPattern.FindAllString(errmsg, 16) {
		if ip, err := netip.ParseAddr(s); err == nil {
			return ip.Unmap().String()
		}
	}
	return ""
}
