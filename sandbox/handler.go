// The sandbox's own routes.

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	maxBody = 64 << 10
	maxName = 64 // characters

	maxRisk = 4 // WeChat's highest risk rank
)

// route returns what answers a path, if it is one of the sandbox.
func (h *Handler) route(path string) (http.HandlerFunc, bool) {
	switch {
	case path == "/sandbox/users":
		return h.postUser, true
	case path == "/sandbox/codes":
		return h.postCode, true
	case path == "/sandbox/pushes":
		return h.postPush, true
	case path == "/sandbox/payments":
		return h.postPayment, true
	case h.state.fake.Handles(path):
		return h.state.fake.ServeHTTP, true
	case h.playground != nil:
		return h.playground.route(path)
	}
	return nil, false
}

// postUser makes a user, or finds the one of that name.
func (h *Handler) postUser(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name  string `json:"name"`
		AppID string `json:"appid"`
	}
	if !read(w, r, &in) {
		return
	}
	if in.Name == "" {
		in.Name = h.state.newName()
	}
	u, err := h.user(in.Name, in.AppID)
	if err != nil {
		fail(w, err)
		return
	}
	write(w, http.StatusOK, struct {
		Name    string `json:"name"`
		AppID   string `json:"appid"`
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid,omitempty"`
	}{in.Name, u.AppID, u.OpenID, u.UnionID})
}

// postCode makes a code of a user, who need not exist before: a first try takes
// one command. The answer can be sent on as it is, to the login or phone route.
func (h *Handler) postCode(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User  string `json:"user"`
		AppID string `json:"appid"`
		Kind  string `json:"kind"`
		Phone string `json:"phone"`
	}
	if !read(w, r, &in) {
		return
	}
	issue, ok := issuers[in.Kind]
	switch {
	case !ok:
		invalid(w, `kind must be "login", "phone", "encryptedData" or "cloudID"`)
		return
	case in.Kind == "login" && in.Phone != "":
		invalid(w, `phone belongs to the other kinds than "login"`)
		return
	case in.Kind != "login" && !wechattest.ValidPhone(in.Phone):
		invalid(w, `phone must be like "13800138000", or "+852 91234567" outside China`)
		return
	}
	u, err := h.user(in.User, in.AppID)
	if err != nil {
		fail(w, err)
		return
	}
	answer, err := issue(h.state.fake, u, in.Phone)
	if err != nil {
		fail(w, err)
		return
	}
	write(w, http.StatusOK, answer)
}

// issuers holds, by kind, what wx.login or the phone button hands to the mini program.
var issuers = map[string]func(fake *wechattest.Server, u *wechattest.User, phone string) (map[string]string, error){
	"login": func(fake *wechattest.Server, u *wechattest.User, _ string) (map[string]string, error) {
		return map[string]string{"code": fake.LoginCode(u)}, nil
	},
	"phone": func(fake *wechattest.Server, u *wechattest.User, phone string) (map[string]string, error) {
		return map[string]string{"code": fake.PhoneCode(u, phone)}, nil
	},
	"encryptedData": func(fake *wechattest.Server, u *wechattest.User, phone string) (map[string]string, error) {
		if len(fake.SessionKeys(u)) == 0 {
			return nil, errNoLogin
		}
		data, iv := fake.EncryptedPhone(u, phone)
		return map[string]string{"encryptedData": data, "iv": iv}, nil
	},
	"cloudID": func(fake *wechattest.Server, u *wechattest.User, phone string) (map[string]string, error) {
		return map[string]string{"cloudID": fake.CloudID(u, phone)}, nil
	},
}

func (h *Handler) user(name, appid string) (*wechattest.User, error) {
	if name == "" {
		return nil, errNoUser
	}
	if utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return nil, errBadName
	}
	return h.state.user(name, appid)
}

// read decodes the JSON object of a POST. If it cannot, it has answered. The
// content type does not matter, so that curl -d works as it comes.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "use POST")
		return false
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); err == nil {
			err = errors.New("more than one JSON value")
		}
	}
	if errors.Is(err, io.EOF) { // all was read, or there was nothing to read
		return true
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		writeError(w, http.StatusRequestEntityTooLarge, "invalid_request",
			fmt.Sprintf("the body is longer than %d bytes", maxBody))
		return false
	}
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrongType.Field == "" {
			invalid(w, "the body must be a JSON object")
			return false
		}
		kind := "a string"
		if wrongType.Type.Kind() == reflect.Bool {
			kind = "true or false"
		}
		invalid(w, wrongType.Field+" must be "+kind)
		return false
	}
	invalid(w, "the body is not the JSON object wanted: "+strings.TrimPrefix(err.Error(), "json: "))
	return false
}

// fail answers what went wrong with a user.
func fail(w http.ResponseWriter, err error) {
	if errors.Is(err, errTooMany) {
		writeError(w, http.StatusConflict, "too_many_users", err.Error())
		return
	}
	invalid(w, err.Error())
}

func invalid(w http.ResponseWriter, description string) {
	writeError(w, http.StatusBadRequest, "invalid_request", description)
}

func writeError(w http.ResponseWriter, status int, code, description string) {
	write(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error is the caller's gone
}
