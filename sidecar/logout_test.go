// Logout of tokens that were made elsewhere.

package sidecar

import "testing"

// A token that somebody else made with a key of this site names its session as it likes; its logout counts.
func TestLogoutOfATokenMadeElsewhere(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	token := s.token("oElsewhere")
	s.want("before", token, "oElsewhere")
	if status, answer := s.do("POST", "/auth/logout", token, ""); status != 204 {
		t.Fatalf("logout: got %d %v", status, answer)
	}
	s.want("after the logout", token, "401 session_revoked")
}
