// Quotas by the minute.

package wechattest

import "time"

// quotas count calls by the minute.
type quotas struct {
	limits map[string]int // endpoint to calls a minute
	minute time.Time
	used   map[quotaKey]int
}

type quotaKey struct {
	endpoint string
	subject  string // openid for Login, else AppID
}

// SetQuota bounds the calls a minute to an endpoint; more answer 45011. Login
// counts per user, as WeChat documents, and so only codes of a known user; the
// other endpoints count per app. Zero, the default, means no bound.
func (s *Server) SetQuota(endpoint string, perMinute int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quotas.limits[endpoint] = perMinute
}

// take counts a call and reports whether it is within the quota.
func (q *quotas) take(now time.Time, endpoint, subject string) bool {
	limit := q.limits[endpoint]
	if limit <= 0 {
		return true
	}
	if minute := now.Truncate(time.Minute); !minute.Equal(q.minute) {
		q.minute = minute
		clear(q.used)
	}
	key := quotaKey{endpoint: endpoint, subject: subject}
	if q.used[key] >= limit {
		return false
	}
	q.used[key]++
	return true
}
