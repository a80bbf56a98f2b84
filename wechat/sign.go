// The wire form of WeChat's server API signature: a call is encrypted, then signed; an answer is
// verified, then decrypted.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/getting_started/api_signature.html

package wechat

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	headerAppID        = "Wechatmp-Appid"
	headerTime         = "Wechatmp-TimeStamp"
	headerSerial       = "Wechatmp-Serial"
	headerSignature    = "Wechatmp-Signature"
	headerOldSerial    = "Wechatmp-Serial-Deprecated"
	headerOldSignature = "Wechatmp-Signature-Deprecated"
)

const (
	ivSize   = 12
	tagSize  = 16
	saltSize = 32

	// nonceSize is within the 16 to 32 characters that WeChat recommends: 24 in base64.
	nonceSize = 18

	// maxAnswerAge bounds the difference between WeChat's clock and ours, either way.
	maxAnswerAge = 5 * time.Minute
)

// envelope is the body of an encrypted call, and of its answer.
type envelope struct {
	IV   []byte `json:"iv"`
	Data []byte `json:"data"`
	Tag  []byte `json:"authtag"`
}

// sign returns r encrypted and signed for target, the URL without its query. WeChat documents
// target as the URL of the call, so an alternate host is signed under its own name. A proxy that
// hands the call on under another name breaks it.
func (s *Signing) sign(r request, appID, target string, now time.Time) (request, *Error) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	fields, ok := parseObject(r.body)
	if !ok {
		return r, unavailable(r.op, "the request could not be made")
	}
	for name, values := range r.query {
		if name != "access_token" {
			fields[name] = quote(values[0])
		}
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	fields["_n"] = quote(base64.StdEncoding.EncodeToString(nonce))
	fields["_appid"] = quote(appID)
	fields["_timestamp"] = json.RawMessage(timestamp)

	plain, err := encode(fields) // Marshal would escape what the body has as it is
	if err != nil {
		return r, unavailable(r.op, "the request could not be made")
	}
	iv := make([]byte, ivSize)
	_, _ = rand.Read(iv) // never fails
	r.body = s.seal(iv, plain, target, appID, timestamp)
	digest := signedDigest(target, appID, timestamp, r.body)
	signature, err := rsa.SignPSS(rand.Reader, s.private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: saltSize})
	if err != nil {
		return r, &Error{Op: r.op, Class: ClassConfig, Reason: "the private key does not sign"}
	}

	r.query = url.Values{"access_token": r.query["access_token"]}
	r.header = http.Header{}
	r.header.Set(headerAppID, appID)
	r.header.Set(headerTime, timestamp)
	r.header.Set(headerSignature, base64.StdEncoding.EncodeToString(signature))
	// The table of the guide lacks it for calls, but WeChat has an errcode for its absence.
	r.header.Set(headerSerial, s.privateSerial)
	return r, nil
}

// quote returns a string as JSON.
func quote(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always can be
	return raw
}

// seal encrypts plain into the body of a call.
func (s *Signing) seal(iv, plain []byte, target, appID, timestamp string) []byte {
	sealed := s.key.Seal(nil, iv, plain, s.context(target, appID, timestamp))
	split := len(sealed) - tagSize
	body, _ := json.Marshal(envelope{IV: iv, Data: sealed[:split], Tag: sealed[split:]}) // bytes always can be
	return body
}

// context returns the additional data of the encryption.
func (s *Signing) context(target, appID, timestamp string) []byte {
	return []byte(target + "|" + appID + "|" + timestamp + "|" + s.keySerial)
}

// signedDigest is the hash of what is signed: four lines, the last without an end. The number of
// the key is not among them, whatever older pages say; WeChat's worked example verifies only so.
func signedDigest(target, appID, timestamp string, body []byte) [sha256.Size]byte {
	return sha256.Sum256([]byte(target + "\n" + appID + "\n" + timestamp + "\n" + string(body)))
}

// open verifies and decrypts the answer to a signed call. A refusal may be plain, since WeChat may
// be unable to decrypt the call, and is handled before; a plain success never is WeChat's.
//
// An answer does not name its call. Time bounds which answers to other calls could be put in its
// place, and no answer counts twice.
func (c *caller) open(ctx context.Context, op string, got reply, outer answer) (answer, error) {
	if !outer.has("iv") || !outer.has("data") || !outer.has("authtag") {
		return nil, badAnswer(op, "the answer is plain although the call was signed; is something between this server and WeChat, "+
			"or is API安全 switched off in the console?")
	}
	switch got.header.Get(headerAppID) {
	case c.appID:
	case "":
		return nil, badAnswer(op, "the answer is encrypted but not signed; does a proxy take WeChat's headers away?")
	default:
		return nil, badAnswer(op, "the answer is signed for another AppID")
	}
	timestamp := got.header.Get(headerTime)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || c.now().Sub(time.Unix(seconds, 0)).Abs() > maxAnswerAge {
		return nil, badAnswer(op, "the answer was signed more than 5 minutes ago or ahead; is this server's clock right?")
	}

	digest := signedDigest(got.url, c.appID, timestamp, got.body)
	if e := c.verify(ctx, op, got.header, digest); e != nil {
		return nil, e
	}
	if !c.signing.seen.first(digest, c.now()) {
		return nil, badAnswer(op, "the answer was given before")
	}
	var sealed envelope
	if json.Unmarshal(got.body, &sealed) != nil || len(sealed.IV) != ivSize || len(sealed.Tag) != tagSize {
		return nil, badAnswer(op, "the answer is not encrypted as AES256_GCM does")
	}
	plain, err := c.signing.key.Open(nil, sealed.IV, append(sealed.Data, sealed.Tag...), c.signing.context(got.url, c.appID, timestamp))
	if err != nil {
		return nil, badAnswer(op, "the answer cannot be decrypted; is the symmetric key the console's?")
	}
	return c.unwrap(op, plain, seconds)
}

// verify checks the signature by whichever of WeChat's certificates we have: near the end of one,
// answers are signed by two.
func (c *caller) verify(ctx context.Context, op string, h http.Header, digest [sha256.Size]byte) *Error {
	serial, encoded := h.Get(headerSerial), h.Get(headerSignature)
	cert, known := c.signing.platform[serial]
	if !known {
		if cert, known = c.signing.platform[h.Get(headerOldSerial)]; known {
			encoded = h.Get(headerOldSignature)
		}
	}
	switch {
	case !known && serial == "":
		return badAnswer(op, "the answer is not signed")
	case !known && !serialPattern.MatchString(serial):
		return badAnswer(op, "the answer is signed by a platform certificate without a proper number")
	case !known:
		return badAnswer(op, "the answer is signed by platform certificate "+serial+", which is not configured; download it from the "+
			"console (开发设置, API安全) and add it")
	}

	signature, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = rsa.VerifyPSS(cert.key, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	}
	if err != nil {
		return badAnswer(op, "the answer's signature is wrong; is something between this server and WeChat, or is the platform "+
			"certificate configured under another's number?")
	}
	if _, current := c.signing.platform[serial]; !current && serialPattern.MatchString(serial) && !c.signing.replacing.Swap(true) {
		c.logger.WarnContext(ctx, "WeChat is replacing its platform certificate; download the new one from the console (开发设置, API安全) "+
			"and add it before the old one ends", "serial", serial)
	}
	return nil
}

// unwrap returns what WeChat would have answered to a plain call, a refusal too.
func (c *caller) unwrap(op string, plain []byte, seconds int64) (answer, error) {
	inner, ok := parseObject(plain)
	if !ok {
		return nil, badAnswer(op, "the decrypted answer is not a JSON object")
	}
	appID, _ := inner.text("_appid")
	at, ok := inner.integer("_timestamp")
	if appID != c.appID || !ok || at != seconds {
		return nil, badAnswer(op, "the decrypted answer is for another AppID or of another time than it is signed for")
	}

	maps.DeleteFunc(inner, func(name string, _ json.RawMessage) bool { return strings.HasPrefix(name, "_") })
	return inner, nil
}
