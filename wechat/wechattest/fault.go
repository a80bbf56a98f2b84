// Planned faults.

package wechattest

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Fault is a way for a call to go wrong. Make one by the functions below and
// plan it by Server.Fail.
type Fault struct {
	work  bool // carry the call out first
	apply func(s *Server, w http.ResponseWriter, q *request, a answer)
}

// planned is a fault waiting for calls.
type planned struct {
	endpoint string
	left     int // negative: for ever
	fault    Fault
}

// Fail makes the next calls to an endpoint (Any: to whichever) go wrong; with times below zero all
// calls until ClearFaults. Faults planned first come first.
func (s *Server) Fail(endpoint string, times int, f Fault) {
	if times == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &planned{endpoint: endpoint, left: times, fault: f})
}

// ClearFaults takes back all faults that were planned and did not yet happen.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// AfterWork returns the fault happening after the call was carried out: the
// code is spent, only the answer is lost.
func (f Fault) AfterWork() Fault {
	f.work = true
	return f
}

// ErrCode answers with an error code and WeChat's text for it.
func ErrCode(code int) Fault {
	return Fault{apply: func(s *Server, w http.ResponseWriter, q *request, _ answer) {
		a := s.run(func(s *Server, _ *request) answer { return s.fail(code) }, q)
		s.write(w, q, a)
	}}
}

// Hang answers nothing until the caller gives up or the fake is closed.
func Hang() Fault {
	return Fault{apply: func(s *Server, _ http.ResponseWriter, q *request, _ answer) {
		select {
		case <-q.http.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler) // cut the connection instead of an empty 200
	}}
}

// Delay answers as usual, but only after a time on the real clock.
func Delay(d time.Duration) Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, q *request, a answer) {
		if !s.pause(q.http.Context(), d) {
			panic(http.ErrAbortHandler)
		}
		s.write(w, q, a)
	}}
}

// Cut carries the call out and cuts the connection in the middle of the answer.
func Cut() Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, q *request, a answer) {
		header, body := s.compose(q, a)
		s.writeSealed(w, header, body[:len(body)/2])
		_ = http.NewResponseController(w).Flush() // else nothing at all would be sent
		panic(http.ErrAbortHandler)
	}}
}

// Truncate carries the call out and sends half of the JSON, with HTTP intact.
func Truncate() Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, q *request, a answer) {
		header, body := s.compose(q, a)
		s.writeSealed(w, header, body[:len(body)/2])
	}}
}

// Edit carries the call out and lets a function change the JSON object of the
// answer: leave the openid away, make it a number, swap the watermark.
func Edit(change func(body map[string]any)) Fault {
	return Fault{work: true, apply: func(s *Server, w http.ResponseWriter, q *request, a answer) {
		body := maps.Clone(a.body)
		change(body)
		s.write(w, q, answer{body: body})
	}}
}

// Huge answers with 50 MB of JSON.
func Huge() Fault {
	const size = 50 << 20
	return Fault{apply: func(s *Server, w http.ResponseWriter, _ *request, _ answer) {
		w.Header().Set("Content-Type", s.contentType())
		_, _ = io.WriteString(w, `{"openid":"`)
		piece := strings.Repeat("a", 64<<10)
		for sent := 0; sent < size; sent += len(piece) {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `"}`)
	}}
}

// Redirect sends the caller elsewhere by a 307, the kind that has a client
// send its body, secret included, to the new address.
func Redirect(url string) Fault {
	return Fault{apply: func(_ *Server, w http.ResponseWriter, _ *request, _ answer) {
		w.Header().Set("Location", url)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}}
}

// Raw answers with exactly this status, content type (empty: none) and body.
func Raw(status int, contentType, body string) Fault {
	return Fault{apply: func(s *Server, w http.ResponseWriter, _ *request, _ answer) {
		s.writeBody(w, status, contentType, []byte(body))
	}}
}

// takeFault returns the fault planned for a call, if any. The caller holds mu.
func (s *Server) takeFault(endpoint string) *Fault {
	for i, p := range s.faults {
		if p.endpoint != Any && p.endpoint != endpoint {
			continue
		}
		if p.left > 0 {
			p.left--
		}
		if p.left == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return &p.fault
	}
	return nil
}

// serve lets the fault happen to a call. rule is nil for unknown paths.
func (f *Fault) serve(s *Server, w http.ResponseWriter, q *request, rule func(*Server, *request) answer) {
	s.mu.Lock()
	q.call.Fault = true
	s.mu.Unlock()

	var a answer
	if f.work && rule != nil {
		a = s.run(rule, q)
	}
	f.apply(s, w, q, a)
}
