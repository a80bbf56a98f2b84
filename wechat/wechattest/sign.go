// The server API signature, as WeChat's side of it.

package wechattest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes of calls that must be signed.
const (
	errSerialMissing    = 40230
	errTimeMissing      = 40231
	errSignatureMissing = 40232
	errSignerMissing    = 40233
	errBadSignature     = 40234
	errBadEncryption    = 40235
	errSignerInvalid    = 40236
	errSignerNotTokens  = 40237
	errNoSymmetricKey   = 40238
	errNoPublicKey      = 40239
	errSignatureExpired = 40240
	errPlainCall        = 934011
)

// signatureLife bounds the age of a signature, either way. WeChat does not document it.
const signatureLife = 5 * time.Minute

// Security holds the keys that a mini program's owner registers under API安全 in the console, for
// AES256_GCM and RSAwithSHA256.
type Security struct {
	KeySerial string
	Key       []byte // 32 bytes; nil: none was set, signed calls answer 40238

	PublicKeySerial string
	PublicKey       *rsa.PublicKey // the app's; nil: none was set, signed calls answer 40239
}

// Secure demands that the app encrypts and signs the calls that support it;
// plain ones answer 934011. Their answers are signed by PlatformCertificate.
// See https://developers.weixin.qq.com/miniprogram/dev/server/getting_started/api_signature.html
func (s *Server) Secure(appid string, sec Security) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.apps[appid]
	if !ok {
		panic("wechattest: Secure: unknown app " + appid)
	}
	if sec.Key != nil && len(sec.Key) != 32 {
		panic("wechattest: Secure: the symmetric key must have 32 bytes")
	}
	a.security = &sec
}

// seal encrypts and signs the answer to a signed call.
type seal struct {
	url   string // without query
	appid string
	sec   Security
}

// unseal checks and decrypts a call that came signed or should have. Then the JSON of the call is
// what was encrypted, or refusal says what was wrong; a refusal is plain. The caller holds mu.
func (s *Server) unseal(q *request) {
	if !shapes[q.endpoint].signed {
		return
	}
	signed := false
	for name := range q.http.Header {
		signed = signed || strings.HasPrefix(name, "Wechatmp-")
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		if signed {
			q.refusal = refusal
		}
		return // the rule of the endpoint says the same of a plain call
	}
	if !signed && a.security == nil {
		return
	}
	if code := s.checkSigned(q, a, signed); code != 0 {
		refusal := s.fail(code)
		q.refusal = &refusal
	}
}

// checkSigned returns the errcode for a call, 0 if it is right. WeChat does not
// document in which order it looks.
func (s *Server) checkSigned(q *request, a *app, signed bool) int {
	h := q.http.Header
	appid, timestamp, signature := h.Get("Wechatmp-Appid"), h.Get("Wechatmp-Timestamp"), h.Get("Wechatmp-Signature")
	switch {
	case !signed:
		return errPlainCall
	case h.Get("Wechatmp-Serial") == "":
		return errSerialMissing
	case timestamp == "":
		return errTimeMissing
	case signature == "":
		return errSignatureMissing
	case appid == "":
		return errSignerMissing
	case s.apps[appid] == nil:
		return errSignerInvalid
	case appid != a.ID:
		return errSignerNotTokens
	case a.security == nil || a.security.Key == nil:
		return errNoSymmetricKey
	case a.security.PublicKey == nil:
		return errNoPublicKey
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || s.now().Sub(time.Unix(seconds, 0)).Abs() > signatureLife {
		return errSignatureExpired
	}
	if serial := h.Get("Wechatmp-Serial"); serial != a.security.PublicKeySerial {
		s.violation(q, "Wechatmp-Serial is not the number of the app's public key")
	}

	to := seal{url: callURL(q.http), appid: appid, sec: *a.security}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return errBadSignature
	}
	digest := to.digest(timestamp, q.body)
	// Requests have a salt of 32 bytes, no other.
	if rsa.VerifyPSS(to.sec.PublicKey, crypto.SHA256, digest, raw, &rsa.PSSOptions{SaltLength: 32}) != nil {
		return errBadSignature
	}
	plain, fields, ok := to.decrypt(timestamp, q.body)
	if !ok || fields["_appid"] != appid || fields["_timestamp"] != float64(seconds) {
		return errBadEncryption
	}
	if n, _ := fields["_n"].(string); len(n) < 16 || len(n) > 32 {
		s.violation(q, "_n has %d characters, want 16 to 32", len(n))
	}
	maps.DeleteFunc(fields, func(name string, _ any) bool { return strings.HasPrefix(name, "_") })
	q.body, q.json, q.seal = plain, fields, &to
	return 0
}

// callURL is the URL of a call as the caller wrote it, without the query.
func callURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.Path
}

func (to seal) digest(timestamp string, body []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", to.url, to.appid, timestamp, body))
	return sum[:]
}

func (to seal) cipher() cipher.AEAD {
	block, err := aes.NewCipher(to.sec.Key)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	return gcm
}

// bound returns the additional data of a ciphertext.
func (to seal) bound(timestamp string) []byte {
	return fmt.Appendf(nil, "%s|%s|%s|%s", to.url, to.appid, timestamp, to.sec.KeySerial)
}

func (to seal) decrypt(timestamp string, body []byte) (plain []byte, fields map[string]any, ok bool) {
	var sealed map[string]string
	if json.Unmarshal(body, &sealed) != nil {
		return nil, nil, false
	}
	var part [3][]byte
	for i, name := range []string{"iv", "data", "authtag"} {
		raw, err := base64.StdEncoding.DecodeString(sealed[name])
		if err != nil {
			return nil, nil, false
		}
		part[i] = raw
	}
	if len(sealed) != 3 || len(part[0]) != 12 || len(part[2]) != 16 {
		return nil, nil, false
	}
	plain, err := to.cipher().Open(nil, part[0], append(part[1], part[2]...), to.bound(timestamp))
	if err != nil || json.Unmarshal(plain, &fields) != nil {
		return nil, nil, false
	}
	return plain, fields, fields != nil
}

// encrypt makes the body of an answer.
func (to seal) encrypt(body map[string]any, timestamp int64) []byte {
	fields := maps.Clone(body)
	fields["_n"] = base64.RawStdEncoding.EncodeToString(random(16))
	fields["_appid"] = to.appid
	fields["_timestamp"] = timestamp
	iv := random(12)
	sealed := to.cipher().Seal(nil, iv, encode(fields), to.bound(strconv.FormatInt(timestamp, 10)))
	split := len(sealed) - 16
	text := base64.StdEncoding.EncodeToString
	return encode(map[string]any{"iv": text(iv), "data": text(sealed[:split]), "authtag": text(sealed[split:])})
}

// compose returns the body of an answer, and the headers that go with it: those
// of a signed one, unless the call was plain.
func (s *Server) compose(q *request, a answer) (http.Header, []byte) {
	if q.seal == nil {
		return nil, encode(a.body)
	}
	s.mu.Lock()
	now, current, deprecated := s.now().Unix(), s.signer(), s.platform.deprecated
	s.mu.Unlock()

	timestamp := strconv.FormatInt(now, 10)
	body := q.seal.encrypt(a.body, now)
	digest := q.seal.digest(timestamp, body)
	h := http.Header{}
	h.Set("Wechatmp-Appid", q.seal.appid)
	h.Set("Wechatmp-TimeStamp", timestamp)
	h.Set("Wechatmp-Serial", current.serial)
	h.Set("Wechatmp-Signature", current.sign(digest))
	if deprecated != nil {
		h.Set("Wechatmp-Serial-Deprecated", deprecated.serial)
		h.Set("Wechatmp-Signature-Deprecated", deprecated.sign(digest))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastSealed = sealed{header: h, body: body}
	return h, body
}

func (k *platformKey) sign(digest []byte) string {
	// Answers are verified with whatever length the salt has.
	signature, err := rsa.SignPSS(rand.Reader, k.key, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(signature)
}
