// msgSecCheck.

package wechattest

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// activeTime bounds the time since a user's last action in which their texts are checked.
	activeTime = 2 * time.Hour

	maxContent = 2500 // characters
)

// The labels of texts that passed and of those that did not, of which there are more.
const (
	labelNormal = 100
	labelOther  = 21000
)

// Judge sets the result of the content check for a text that contains the word:
// "risky" or "review". Everything else passes. An empty verdict takes it back.
func (s *Server) Judge(word, verdict string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if verdict == "" {
		delete(s.verdicts, word)
		return
	}
	s.verdicts[word] = verdict
}

// checkContent answers msgSecCheck, version 2, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/sec-center/sec-check/api_msgseccheck
func (s *Server) checkContent(q *request) answer {
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		return *refusal
	}
	if !s.quotas.take(s.now(), CheckContent, a.ID) {
		return s.fail(errMinuteQuota)
	}

	content, ok := q.text("content")
	openid, okID := q.text("openid")
	if !ok || !okID || content == "" || utf8.RuneCountInString(content) > maxContent || q.json["version"] != 2.0 {
		return s.fail(errMalformedInput)
	}
	if scene, ok := q.json["scene"].(float64); !ok || !slices.Contains([]float64{1, 2, 3, 4}, scene) {
		return s.fail(errInvalidScene)
	}
	u, refusal := s.userOf(a, openid)
	if refusal != nil {
		return *refusal
	}
	if u.seen.IsZero() || s.now().Sub(u.seen) >= activeTime {
		return s.fail(errInactive)
	}

	suggest, label := s.verdict(content)
	trace := hex.EncodeToString(random(4)) + "-" + hex.EncodeToString(random(4)) + "-" + hex.EncodeToString(random(4))
	return answer{body: map[string]any{
		"errcode": 0,
		"errmsg":  "ok",
		"result":  map[string]any{"suggest": suggest, "label": label},
		"detail": []any{
			map[string]any{"strategy": "content_model", "errcode": 0, "suggest": suggest, "label": label, "prob": 90},
		},
		"trace_id": trace,
	}}
}

// verdict judges a text. Of several words the worst counts: "pass", "review" and
// "risky" happen to sort so.
func (s *Server) verdict(content string) (suggest string, label int) {
	suggest, label = "pass", labelNormal
	for word, v := range s.verdicts {
		if strings.Contains(content, word) && v > suggest {
			suggest, label = v, labelOther
		}
	}
	return suggest, label
}
