// Bodies of requests.

package sidecar

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Libraries name a form as the content type of an empty body, whose length HTTP/2 need not tell.
func TestLogoutWithAnEmptyFormOfUnknownLength(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	r := httptest.NewRequest(http.MethodPost, "/auth/logout", io.MultiReader(strings.NewReader("")))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+s.login())
	w := httptest.NewRecorder()
	if s.serve(w, r); w.Code != http.StatusNoContent {
		t.Errorf("got %d %s, want 204", w.Code, w.Body)
	}
}
