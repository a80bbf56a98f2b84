// The record of calls.

package wechattest

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// keepCalls bounds the record, so that a fake that runs for days stays small.
const keepCalls = 10_000

// Call is one request to the fake.
type Call struct {
	Number   int       // among all calls, from 1
	Time     time.Time // by the fake's clock
	Endpoint string
	Method   string
	Header   http.Header
	Query    url.Values
	Body     map[string]any // the decoded and, if Signed, decrypted JSON object; nil if there was none

	// Signed is set when the call came encrypted and signed as it should.
	Signed bool

	// ErrCode is the errcode of the answer, by the rules or by a planned fault; 0 is success.
	ErrCode int
	// Answer is the JSON object of the answer, by the rules or by a planned errcode, session_key and
	// tokens included; nil while there is none, and for other faults.
	Answer map[string]any
	// Fault is set when a planned fault happened to the call.
	Fault bool
}

// record keeps calls and violations.
type record struct {
	calls      []*Call
	keep       int
	counts     map[string]int
	total      int
	violations []string
	arrival    chan struct{} // closed and replaced at each call
}

func newRecord() record {
	return record{keep: keepCalls, counts: make(map[string]int), arrival: make(chan struct{})}
}

// add records a call as it arrives, so that calls still hanging are seen.
func (rec *record) add(q *request, now time.Time) *Call {
	rec.total++
	c := &Call{
		Number:   rec.total,
		Time:     now,
		Endpoint: q.endpoint,
		Method:   q.http.Method,
		Header:   q.http.Header.Clone(),
		Query:    q.query,
		Body:     q.json,
		Signed:   q.seal != nil,
	}
	rec.calls = append(rec.calls, c)
	if extra := len(rec.calls) - rec.keep; extra > 0 {
		clear(rec.calls[:extra])
		rec.calls = rec.calls[extra:]
	}
	if _, ok := rules[q.endpoint]; ok {
		rec.counts[q.endpoint]++ // by known names only: paths of strangers are without number
	}
	close(rec.arrival)
	rec.arrival = make(chan struct{})
	return c
}

func (rec *record) count(endpoint string) int {
	if endpoint == Any {
		return rec.total
	}
	return rec.counts[endpoint]
}

// KeepCalls sets how many calls are remembered, 10,000 by default; the oldest
// go. Zero remembers none; Count is not bounded.
func (s *Server) KeepCalls(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.keep = n
}

// Calls returns the calls so far, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.record.calls))
	for i, c := range s.record.calls {
		calls[i] = *c
	}
	return calls
}

// Count returns how many calls an endpoint got. Any counts all of them, also
// those to unknown paths.
func (s *Server) Count(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.count(endpoint)
}

// Wait returns when an endpoint got n calls, answered or not, or when the
// context ends, whose error it returns.
func (s *Server) Wait(ctx context.Context, endpoint string, n int) error {
	for {
		s.mu.Lock()
		enough, arrival := s.record.count(endpoint) >= n, s.record.arrival
		s.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-arrival:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Violations returns what callers sent against the protocol although WeChat might have answered:
// parameters nobody asked for, a secret or a user's header in a call that has no use for it, a body
// that is not declared as JSON. A test of a client should find none.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.record.violations...)
}
