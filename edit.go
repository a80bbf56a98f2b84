package wechatauth

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxNickname = 32 // characters
	maxParts    = 16

	// uploadTime is how long a form may take: as long as a mini program waits. What has come of it lies in memory.
	uploadTime = time.Minute

	// maxDrained is how much of a form that is too large is thrown away to have its sender hear so.
	maxDrained = 32 << 20

	// noNickname is what WeChat gives for a user who chose no nickname.
	// https://developers.weixin.qq.com/community/develop/doc/00022c683e8a80b29bed2142b56c01
	noNickname = "微信用户"
)

// edit is what the user wants to change; zero fields stay.
type edit struct {
	nickname string
	picture  []byte // as it was sent
	jpeg     []byte // as it is kept
}

func (h *Handler) readEdit(w http.ResponseWriter, r *http.Request) (e edit, err error) {
	var nickname *string
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "multipart/form-data" {
		nickname, err = h.readForm(w, r, params["boundary"], &e)
	} else {
		nickname, err = readNickname(w, r)
	}
	switch {
	case err != nil:
		return e, err
	case nickname == nil && e.picture == nil:
		return e, invalidRequest("send a nickname, a file named avatar, or both")
	case nickname != nil:
		e.nickname, err = cleanNickname(*nickname)
	}
	return e, err
}

func readNickname(w http.ResponseWriter, r *http.Request) (*string, error) {
	f, err := readFields(w, r)
	if err != nil || f["nickname"] == nil {
		return nil, err
	}
	nickname, err := f.text("nickname")
	return &nickname, err
}

// readForm bounds the size and the time of a form. A client sends all of it before it reads the answer, and
// would read none on a connection that was closed before: what is too large is read on and forgotten.
func (h *Handler) readForm(w http.ResponseWriter, r *http.Request, boundary string, e *edit) (nickname *string, err error) {
	if boundary == "" {
		return nil, invalidRequest("the form has no boundary")
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(h.uploadTime)) // not every server can
	defer func() { _ = deadline.SetReadDeadline(time.Time{}) }()
	limit := h.maxUpload + maxBody
	if err = errTooLarge; r.ContentLength <= limit {
		nickname, err = h.readParts(multipart.NewReader(http.MaxBytesReader(w, r.Body, limit), boundary), e)
	}
	if errors.Is(err, errTooLarge) && r.ProtoMajor == 1 && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
	return nickname, err
}

// readParts reads the fields of a form, which wx.uploadFile sends in an order of its own.
func (h *Handler) readParts(form *multipart.Reader, e *edit) (nickname *string, err error) {
	for parts := 0; ; parts++ {
		part, err := form.NextRawPart()
		if err == io.EOF { //nolint:errorlint // a wrapped one is that of a form that broke off
			return nickname, nil
		}
		if err != nil {
			return nil, formError(err)
		}
		if parts == maxParts {
			return nil, invalidRequest("the form has too many parts")
		}
		switch name := part.FormName(); {
		case name == "avatar" && e.picture == nil:
			e.picture, err = readPart(part, h.maxUpload)
		case name == "nickname" && nickname == nil:
			var text []byte
			text, err = readPart(part, maxBody)
			nickname = new(string(text))
		case name == "avatar" || name == "nickname":
			err = invalidRequest("the form has two parts of one name")
		}
		if err != nil {
			return nil, err
		}
	}
}

func readPart(part io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return nil, formError(err)
	}
	if int64(len(content)) > limit {
		return nil, errTooLarge
	}
	return content, nil
}

func formError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	return invalidRequest("the form is malformed or broke off")
}

// cleanNickname returns a nickname as it is kept, "" if it stands for none.
func cleanNickname(nickname string) (string, error) {
	if !utf8.ValidString(nickname) {
		return "", invalidRequest("nickname is not UTF-8")
	}
	nickname = norm.NFC.String(strings.TrimSpace(nickname))
	if nickname == noNickname {
		return "", nil
	}
	if n := utf8.RuneCountInString(nickname); n == 0 || n > maxNickname {
		return "", invalidRequest("nickname must have 1 to 32 characters")
	}
	if !printable(nickname) {
		return "", invalidRequest("nickname has control characters")
	}
	if !strings.ContainsFunc(nickname, visible) {
		return "", invalidRequest("nickname has nothing that can be seen")
	}
	return nickname, nil
}

// printable tells whether a text has nothing that ends a line or changes its direction, by which a name
// could pose as what stands around it.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool {
		return unicode.IsControl(c) || unicode.In(c, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || c == '\uFEFF' || c == utf8.RuneError
	})
}

// visible is false for blanks and for what only shapes its neighbours, such as the joiner in an emoji.
func visible(c rune) bool {
	return unicode.IsGraphic(c) && !unicode.In(c, unicode.Z, unicode.Cf, unicode.Mn, unicode.Me)
}
