// Users brought along from elsewhere.

package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	importBatch = 500 // users, one step of the store
	maxFailed   = 10_000
	maxLine     = 4 << 10

	// importPause bounds the wait for the next lines: the server's own limit is on the whole body.
	importPause = time.Minute
)

var (
	importedPhone  = regexp.MustCompile(`^\+?[0-9][0-9 -]{3,30}$`)
	importedNumber = regexp.MustCompile(`^\+[1-9][0-9]{3,14}$`)
)

// importAnswer says what became of the lines.
type importAnswer struct {
	Imported int          `json:"imported"`
	Failed   []failedLine `json:"failed"`
}

var errFailedLines = invalidRequest("too many lines are wrong: is it JSON lines?")

type failedLine struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// importUsers answers POST users, a user on each line. A line that is wrong is reported, and the
// rest goes on. When the store fails, what came before stays, and the whole can be sent again.
func (o *operations) importUsers(w http.ResponseWriter, r *http.Request) error {
	store, err := o.store.get()
	if err != nil {
		return err
	}
	answer := importAnswer{Failed: []failedLine{}}
	var batch []session.User
	flush := func() error {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(importPause)) // not every server can
		if len(batch) == 0 {
			return nil
		}
		err := store.Import(context.WithoutCancel(r.Context()), batch, o.now())
		answer.Imported += len(batch)
		batch = batch[:0]
		return err
	}
	err = eachLine(r.Body, func(line int, text []byte, err error) error {
		var u session.User
		if err == nil {
			u, err = o.readUser(text)
		}
		if err != nil {
			if len(answer.Failed) == maxFailed {
				return errFailedLines
			}
			answer.Failed = append(answer.Failed, failedLine{line, asError(err).Description})
			return nil
		}
		if batch = append(batch, u); len(batch) < importBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	o.failures.logger.Info("the operator imported users", "imported", answer.Imported, "failed", len(answer.Failed))
	writeJSON(w, http.StatusOK, answer)
	return nil
}

var errLongLine = invalidRequest("the line is too long")

// eachLine calls each with the lines that are not blank, by their numbers.
func eachLine(body io.Reader, each func(line int, text []byte, err error) error) error {
	in := bufio.NewReaderSize(body, maxLine)
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		var tooLong error
		for errors.Is(err, bufio.ErrBufferFull) {
			tooLong = errLongLine
			_, err = in.ReadSlice('\n')
		}
		ended := errors.Is(err, io.EOF)
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return errTooLarge
		}
		if err != nil && !ended {
			return invalidRequest("the body broke off")
		}
		if line == 1 { // some editors begin a file with it
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(text)) > 0 || tooLong != nil {
			if failed := each(line, text, tooLong); failed != nil {
				return failed
			}
		}
		if ended {
			return nil
		}
	}
}

// readUser reads a line.
func (o *operations) readUser(line []byte) (u session.User, err error) {
	f, err := parseFields(line)
	if err != nil {
		return u, invalidRequest("the line must be one JSON object in UTF-8 without repeated keys")
	}
	if err := f.only("appid", "openid", "unionid", "phone", "phone_number", "verified_at", "nickname", "first_seen"); err != nil {
		return u, err
	}
	texts, err := f.texts("appid", "openid", "unionid", "phone", "phone_number", "nickname")
	if err != nil {
		return u, err
	}
	if texts["appid"] == "" {
		texts["appid"] = "-"
	}
	if u.AppID, err = o.app(texts["appid"]); err != nil {
		return u, err
	}
	u.OpenID, u.UnionID = texts["openid"], texts["unionid"]
	if name := texts["nickname"]; name != "" {
		if u.Nickname, err = cleanNickname(name); err != nil {
			return u, err
		}
	}
	if u.PhoneVerified, err = f.time("verified_at"); err != nil {
		return u, err
	}
	if u.FirstSeen, err = f.time("first_seen"); err != nil {
		return u, err
	}
	u.Phone, u.PhoneNumber = importedPhones(texts["phone"], texts["phone_number"])
	return u, o.checkUser(u)
}

// importedPhones completes one of the two forms by the other. WeChat leaves China's code out of the
// first.
func importedPhones(phone, number string) (string, string) {
	if number == "" && phone != "" {
		number = wechat.Phone{Number: phone, PureNumber: strings.TrimPrefix(phone, "+86")}.E164()
		if strings.HasPrefix(phone, "+") {
			number = wechat.Phone{Number: phone}.E164()
		}
	}
	if phone == "" {
		phone = strings.TrimPrefix(strings.TrimPrefix(number, "+86"), "+")
	}
	return phone, number
}

func (o *operations) checkUser(u session.User) error {
	now := o.now()
	switch {
	case !wechat.ValidUserID(u.OpenID):
		return invalidRequest("openid is missing or malformed")
	case u.UnionID != "" && !wechat.ValidUserID(u.UnionID):
		return invalidRequest("unionid is malformed")
	case u.Phone != "" && !importedPhone.MatchString(u.Phone):
		return invalidRequest("phone is malformed")
	case u.PhoneNumber != "" && !importedNumber.MatchString(u.PhoneNumber):
		return invalidRequest("phone_number must be as in +8613800138000")
	case u.Phone == "" && !u.PhoneVerified.IsZero():
		return invalidRequest("verified_at without a phone")
	case u.PhoneVerified.After(now) || u.FirstSeen.After(now):
		return invalidRequest("verified_at or first_seen is yet to come")
	}
	return nil
}
