// POST profile as it is sent.

package sidecar

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
)

const (
	maxParts = 16

	// maxDrained bounds what is read and thrown away of a form that is too large, so that its
	// sender reads the answer.
	maxDrained = 32 << 20
)

// profileUpdate is a parsed POST profile request. Zero fields are left unchanged.
type profileUpdate struct {
	nickname string
	picture  []byte // as it was sent
	jpeg     []byte // as it is kept
}

// readEdit bounds the time of a body. A client sends all of it before it reads the answer, and
// would read none on a connection that was closed before: what is refused for its size or kind is
// read on and thrown away.
func (p *profiles) readEdit(w http.ResponseWriter, r *http.Request) (e profileUpdate, err error) {
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(p.cfg.UploadTime)) // not every server can
	defer func() { _ = deadline.SetReadDeadline(time.Time{}) }()

	var nickname *string
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "multipart/form-data" {
		nickname, err = p.readForm(w, r, params["boundary"], &e)
	} else {
		nickname, err = readNickname(w, r, mediaType)
	}
	if e.picture != nil && nickname != nil && strings.TrimSpace(*nickname) == "" {
		nickname = nil // the page has a field for it that was left empty
	}
	switch {
	case err != nil:
		drain(r, asError(err).status)
		return e, err
	case nickname == nil && e.picture == nil:
		return e, invalidRequest("send a nickname, a file named avatar, or both")
	case nickname != nil:
		e.nickname, err = cleanNickname(*nickname)
	}
	return e, err
}

func drain(r *http.Request, status int) {
	refused := status == http.StatusRequestEntityTooLarge || status == http.StatusUnsupportedMediaType
	if refused && r.ProtoMajor == 1 && r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
}

// readNickname reads JSON. Whoever sends anything else may have meant to send a picture.
func readNickname(w http.ResponseWriter, r *http.Request, mediaType string) (*string, error) {
	var f fields
	err := error(errMediaType)
	if !strings.HasPrefix(mediaType, "image/") {
		f, err = readFields(w, r)
	}
	if err != nil {
		e := *asError(err)
		e.Description += "; to send a picture, send a multipart form with a file named avatar"
		return nil, &e
	}
	if f["nickname"] == nil {
		return nil, nil
	}
	nickname, err := f.text("nickname")
	return &nickname, err
}

func (p *profiles) readForm(w http.ResponseWriter, r *http.Request, boundary string, e *profileUpdate) (nickname *string, err error) {
	if boundary == "" {
		return nil, invalidRequest("the form has no boundary")
	}
	limit := p.cfg.MaxUpload + maxBody
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	return p.readParts(multipart.NewReader(http.MaxBytesReader(w, r.Body, limit), boundary), p.formSize(r), e)
}

// readParts reads the fields of a form, which wx.uploadFile sends in an order of its own.
func (p *profiles) readParts(form *multipart.Reader, size int64, e *profileUpdate) (nickname *string, err error) {
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
			e.picture, err = readPart(part, min(size, p.cfg.MaxUpload))
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

// formSize is the most that a form keeps in memory.
func (p *profiles) formSize(r *http.Request) int64 {
	limit := p.cfg.MaxUpload + maxBody
	if r.ContentLength < 0 {
		return limit
	}
	return min(r.ContentLength, limit)
}

// readPart reads into one buffer: one that grows is copied each time, and what it was before is not
// freed at once.
func readPart(part io.Reader, limit int64) ([]byte, error) {
	content := bytes.NewBuffer(make([]byte, 0, limit+1+bytes.MinRead))
	if _, err := content.ReadFrom(io.LimitReader(part, limit+1)); err != nil {
		return nil, formError(err)
	}
	if int64(content.Len()) > limit {
		return nil, errTooLarge
	}
	return content.Bytes(), nil
}

func formError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	return invalidRequest("the form is malformed or broke off")
}
