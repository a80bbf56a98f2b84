// Request bodies, read strictly.

package sidecar

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	maxBody = 64 << 10

	maxNonce = 128
)

// fields is a request's JSON object.
type fields map[string]jsontext.Value

// readFields reads the body as one JSON object, whatever its content type says, for mini program
// libraries differ, and curl -d sends JSON as a form.
func readFields(w http.ResponseWriter, r *http.Request) (fields, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return parseBody(r, body)
}

func parseBody(r *http.Request, body []byte) (fields, error) {
	if isForm(mediaType(r)) && !looksLikeJSON(body) {
		return nil, errMediaType
	}
	return parseFields(body)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, invalidRequest("the body broke off")
	}
	return body, nil
}

// mediaType returns the content type without parameters and in lower case.
func mediaType(r *http.Request) string {
	name, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return name
}

func isForm(mediaType string) bool {
	return mediaType == "application/x-www-form-urlencoded" || isMultipart(mediaType)
}

func isMultipart(mediaType string) bool { return strings.HasPrefix(mediaType, "multipart/") }

// looksLikeJSON tells an object from a form, which begins with a name, and from multipart, which
// begins with dashes.
func looksLikeJSON(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
}

// parseFields is strict, as the package json is by itself: two readers must never see two different
// values. Names repeat at no depth and match exactly, and nothing follows the object.
func parseFields(body []byte) (f fields, err error) {
	if err := json.Unmarshal(body, &f); err != nil || f == nil { // null is nil
		return nil, invalidRequest("the body must be one JSON object in UTF-8 without repeated keys")
	}
	return f, nil
}

// readOptionalFields is readFields for routes whose body may be missing.
func readOptionalFields(w http.ResponseWriter, r *http.Request) (fields, error) {
	body, err := readBody(w, r)
	if err != nil || len(body) == 0 { // whatever the content type says
		return nil, err
	}
	return parseBody(r, body)
}

// flag returns a boolean field, false when it is absent.
func (f fields) flag(name string) (bool, error) {
	switch string(f[name]) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, invalidRequest(name + " must be true or false")
}

// text returns a string field, "" when it is absent. Another type is an error, null included.
func (f fields) text(name string) (string, error) {
	raw, ok := f[name]
	if !ok {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", invalidRequest(name + " must be a string")
	}
	return *s, nil
}

// texts returns several string fields at once.
func (f fields) texts(names ...string) (map[string]string, error) {
	out := make(map[string]string, len(names))
	for _, name := range names {
		value, err := f.text(name)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// checkCode keeps anything that can't be a code away from WeChat.
func checkCode(name, code string) error {
	switch {
	case code == "":
		return invalidRequest(name + " is missing")
	case len(code) > wechat.MaxCode:
		return invalidRequest(name + " is too long")
	case !wechat.ValidCode(code):
		return invalidRequest(name + " has characters that no code has")
	}
	return nil
}

// checkCloudID is checkCode for a cloudID.
func checkCloudID(id string) error {
	switch {
	case len(id) > wechat.MaxCloudID:
		return invalidRequest("cloudID is too long")
	case !wechat.ValidCloudID(id):
		return invalidRequest("cloudID has characters that no cloudID has")
	}
	return nil
}
