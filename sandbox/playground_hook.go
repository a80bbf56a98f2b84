// What goes beside WeChat's API, to be shown: the hook, which the playground answers, and pushes.

package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// sideCall is a call beside WeChat's API: a question to the hook, or a push.
type sideCall struct {
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	Lane   string    `json:"lane"`
	Path   string    `json:"path"`
	Status string    `json:"status"`
	Body   any       `json:"body"`
	Answer any       `json:"answer,omitempty"`
}

type hookAnswer struct {
	Allow  bool   `json:"allow"`
	Reason string `json:"reason,omitempty"`
}

// hook answers as a backend does: it checks the signature first.
func (g *playground) hook(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "use POST")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		invalid(w, "the body cannot be read")
		return
	}
	mac := hmac.New(sha256.New, g.hookSecret)
	mac.Write(body)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); !hmac.Equal([]byte(want), []byte(r.Header.Get("X-Signature"))) {
		writeError(w, http.StatusUnauthorized, "bad_signature", "X-Signature does not fit: hook_secret must be the secret of the site's hook")
		return
	}
	var question map[string]any
	if err := json.Unmarshal(body, &question); err != nil {
		invalid(w, "the body is not a JSON object")
		return
	}
	write(w, http.StatusOK, g.state.askHook(question))
}

func (s *state) askHook(question map[string]any) hookAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, status := hookAnswer{Allow: true}, "allow"
	if s.broken[hookDenies] {
		answer, status = hookAnswer{Reason: "the playground's hook says no"}, "deny"
	}
	s.noteSide(sideCall{Time: time.Now(), Lane: "hook", Path: hookPath, Status: status, Body: question, Answer: answer})
	return answer
}

// notePush keeps what was pushed, and how that was answered.
func (s *state) notePush(to string, message wechattest.PushMessage, err error) {
	body := make(map[string]any, len(message))
	for _, f := range message {
		body[f.Name] = f.Value
	}
	call := sideCall{Time: time.Now(), Lane: "push", Path: to, Status: "ok", Body: body, Answer: "success"}
	if u, err := url.Parse(to); err == nil {
		call.Path = u.Path
	}
	if err != nil {
		call.Status, call.Answer = "failed", err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteSide(call)
}

// noteSide keeps a call for the page. The caller holds mu.
func (s *state) noteSide(c sideCall) {
	s.count++
	c.Number = s.count
	s.side = append(s.side, c)
	s.side = s.side[max(0, len(s.side)-keepCalls):]
}

// sideCalls returns the calls with a higher number.
func (s *state) sideCalls(after int) []sideCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := []sideCall{}
	for _, c := range s.side {
		if c.Number > after {
			calls = append(calls, c)
		}
	}
	return calls
}
