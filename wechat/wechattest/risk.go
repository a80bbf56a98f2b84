// getUserRiskRank.

package wechattest

import (
	"net/netip"
	"slices"
)

// SetRisk sets the risk rank of a user, 0 to 4. It is 0 before.
func (s *Server) SetRisk(u *User, rank int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.risk = rank
}

// riskRank answers getUserRiskRank, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/sec-center/safety-control-capability/api_getuserriskrank.html
func (s *Server) riskRank(q *request) answer {
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		return *refusal
	}
	if !s.quotas.take(s.now(), RiskRank, a.ID) {
		return s.fail(errMinuteQuota)
	}
	appid, _ := q.text("appid")
	openid, _ := q.text("openid")
	address, _ := q.text("client_ip")
	scene, ok := q.json["scene"].(float64)
	if _, err := netip.ParseAddr(address); err != nil || !ok || appid == "" || openid == "" {
		return s.fail(errMalformedInput)
	}
	if !slices.Contains([]float64{0, 1, 2}, scene) {
		return s.fail(errInvalidScene)
	}
	if appid != a.ID {
		return s.fail(errOtherApp)
	}
	u, refusal := s.userOf(a, openid)
	if refusal != nil {
		return *refusal
	}
	if u.seen.IsZero() || s.now().Sub(u.seen) >= activeTime {
		return s.fail(errInactive)
	}
	return answer{body: map[string]any{"errcode": 0, "errmsg": "getuserriskrank succ", "risk_rank": u.risk, "unoin_id": 2258658297}}
}
