// Faults of signed answers.

package wechattest

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
)

// sealed is a signed answer as it went out.
type sealed struct {
	header http.Header
	body   []byte
}

func (s *Server) writeSealed(w http.ResponseWriter, header http.Header, body []byte) {
	maps.Copy(w.Header(), header)
	s.writeBody(w, http.StatusOK, s.contentType(), body)
}

// EditSealed carries the call out and lets a function change the headers and
// the encrypted body of the answer: drop a header, swap two, flip a bit.
func EditSealed(change func(header http.Header, body []byte) []byte) Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, q *request, a answer) {
		header, body := s.compose(q, a)
		header = header.Clone()
		if header == nil {
			header = http.Header{}
		}
		body = change(header, body)
		s.writeSealed(w, header, body)
	}}
}

// WrongSignature carries the call out and answers with a signature of nobody's.
func WrongSignature() Fault {
	return EditSealed(func(header http.Header, body []byte) []byte {
		header.Set("Wechatmp-Signature", base64.StdEncoding.EncodeToString(random(256)))
		return body
	})
}

// UnknownCertificate carries the call out and signs the answer under the number
// of a platform certificate that nobody could download.
func UnknownCertificate() Fault {
	return EditSealed(func(header http.Header, body []byte) []byte {
		header.Set("Wechatmp-Serial", hex.EncodeToString(random(16)))
		return body
	})
}

// Unsealed carries the call out and answers in plain, as somebody without WeChat's keys would.
func Unsealed() Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, _ *request, a answer) {
		s.writeBody(w, http.StatusOK, s.contentType(), encode(a.body))
	}}
}

// SealedFor carries the call out and encrypts and signs the answer for another app.
func SealedFor(appid string) Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, q *request, a answer) {
		if q.seal != nil {
			q.seal.appid = appid
		}
		s.write(w, q, a)
	}}
}

// Replay answers with the last signed answer, to whichever call it was, as it went out then.
func Replay() Fault {
	return Fault{apply: func(s *Server, w http.ResponseWriter, _ *request, _ answer) {
		s.mu.Lock()
		last := s.lastSealed
		s.mu.Unlock()
		s.writeSealed(w, last.header, last.body)
	}}
}
