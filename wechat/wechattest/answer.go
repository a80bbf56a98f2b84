// Requests as the rules read them, and answers in WeChat's forms.

package wechattest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Error codes the rules answer with.
const (
	errSystem         = -1
	errBadCredential  = 40001
	errGrantType      = 40002
	errInvalidOpenID  = 40003
	errInvalidAppID   = 40013
	errInvalidCode    = 40029
	errInvalidArgs    = 40097
	errInvalidSecret  = 40125
	errInvalidScene   = 40129
	errCodeUsed       = 40163
	errIPNotAllowed   = 40164
	errCodeBlocked    = 40226
	errTokenMissing   = 41001
	errAppIDMissing   = 41002
	errSecretMissing  = 41004
	errCodeMissing    = 41008
	errTokenExpired   = 42001
	errPostRequired   = 43002
	errOtherApp       = 43104
	errEmptyBody      = 44002
	errDailyQuota     = 45009
	errMinuteQuota    = 45011
	errMalformedInput = 47001
	errInactive       = 61010
	errNoSessionKey   = 87007
	errSigMethod      = 87008
	errSignature      = 87009
)

// texts are the messages WeChat sends with its codes, without the request id.
var texts = map[int]string{
	errSystem:         "system error",
	errBadCredential:  "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
	errGrantType:      "invalid grant_type",
	errInvalidOpenID:  "invalid openid",
	errInvalidAppID:   "invalid appid",
	40014:             "invalid access_token",
	errInvalidCode:    "invalid code",
	errInvalidArgs:    "invalid args",
	errInvalidSecret:  "invalid appsecret",
	errInvalidScene:   "invalid scene",
	errCodeUsed:       "code been used",
	errCodeBlocked:    "code blocked",
	40243:             "AppSecret frozen",
	errTokenMissing:   "access_token missing",
	errAppIDMissing:   "appid missing",
	errSecretMissing:  "appsecret missing",
	errCodeMissing:    "missing code",
	errTokenExpired:   "access_token expired",
	errPostRequired:   "require POST method",
	errOtherApp:       "appid and openid does not match",
	errEmptyBody:      "empty post data",
	errDailyQuota:     "reach max api daily quota limit",
	errMinuteQuota:    "api minute-quota reach limit mustslower retry next minute",
	errMalformedInput: "data format error",
	48001:             "api unauthorized",
	50004:             "token interface forbidden",
	50007:             "account frozen",
	errInactive:       "code is expired",
	errNoSessionKey:   "session_key is not existd or expired",
	errSigMethod:      "invalid sig_method",
	errSignature:      "invalid signature",
	89503:             "this call needs the confirmation of the administrator",
	89506:             "the administrator refused this ip, try again after 24 hours",
	89507:             "the administrator refused this ip, try again after 1 hour",

	errPaymentSignature: "invalid signature",
	errPaymentKey:       "session_key is not existd or expired",
}

// request is a call as the rules see it.
type request struct {
	http     *http.Request
	endpoint string
	query    url.Values
	queryErr error
	body     []byte
	json     map[string]any // nil unless the body is one JSON object
	call     *Call

	seal    *seal   // how to answer a call that was signed; nil: in plain
	refusal *answer // what unseal found wrong
}

func newRequest(r *http.Request, body []byte) *request {
	q := &request{http: r, endpoint: r.URL.Path, body: body}
	q.query, q.queryErr = url.ParseQuery(r.URL.RawQuery)
	if json.Unmarshal(body, &q.json) != nil {
		q.json = nil
	}
	return q
}

// text returns a field of the JSON body. ok is false if it is there but not a string.
func (q *request) text(field string) (value string, ok bool) {
	v, found := q.json[field]
	if !found {
		return "", true
	}
	value, ok = v.(string)
	return value, ok
}

// answer is the code and the JSON object of an answer, or a picture.
type answer struct {
	code    int
	body    map[string]any
	picture []byte
}

// turns count the answers of a kind, so that their documented forms take turns.
type turns struct {
	errmsg, contentType, countryCode, noData int
}

func turn[T any](n *int, forms ...T) T {
	form := forms[*n%len(forms)]
	*n++
	return form
}

// fail answers with an error code and its usual message.
func (s *Server) fail(code int) answer {
	text, ok := texts[code]
	if !ok {
		text = "error"
	}
	return s.failText(code, text)
}

// failText adds a request id in one of the forms WeChat uses.
func (s *Server) failText(code int, text string) answer {
	rid := s.rid()
	msg := turn(&s.turns.errmsg,
		fmt.Sprintf("%s, rid: %s", text, rid),
		fmt.Sprintf("%s rid: %s", text, rid),
		fmt.Sprintf("%s hint: [%s] rid: %s", text, openID()[1:17], rid),
	)
	return answer{code: code, body: map[string]any{"errcode": code, "errmsg": msg}}
}

// rid makes a request id: the time and two random numbers.
func (s *Server) rid() string {
	b := random(8)
	return fmt.Sprintf("%08x-%s-%s", uint32(s.now().Unix()), hex.EncodeToString(b[:4]), hex.EncodeToString(b[4:]))
}

// write sends the answer. The status is 200 for errors too.
func (s *Server) write(w http.ResponseWriter, q *request, a answer) {
	if a.picture != nil {
		s.writeBody(w, http.StatusOK, "image/jpeg", a.picture)
		return
	}
	header, body := s.compose(q, a)
	s.writeSealed(w, header, body)
}

func (s *Server) writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType == "" {
		w.Header()["Content-Type"] = nil // else net/http guesses one
	} else {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// contentType takes turns: WeChat is seen to send JSON as plain text.
func (s *Server) contentType() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return turn(&s.turns.contentType, "application/json; charset=UTF-8", "text/plain", "application/json")
}

// encode writes UTF-8 as it is, as WeChat does, instead of \u escapes.
func encode(body map[string]any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		panic("wechattest: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
