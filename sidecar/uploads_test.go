// Bounds on forms under way.

package sidecar

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

// Seven users, each with ten uploads a minute that never end, held every slot there was, and
// hundreds of megabytes.
// Threats: F11.
func TestAttackFewUsersHoldAllUploads(t *testing.T) {
	t.Parallel()
	const size = 4_000_000 + maxBody
	u := uploads{users: map[uploader]int{}}
	by := func(n int) uploader {
		return uploader{"a store", session.UserID{AppID: "wx0000000000000001", OpenID: fmt.Sprint("o", n)}}
	}
	var ends []func()
	for n := range 7 {
		for try := range 10 {
			end, err := u.begin(by(n), size)
			if try < uploadsPerUser && err != nil || try >= uploadsPerUser && !errors.Is(err, errRateLimited) {
				t.Fatalf("upload %d of user %d: got %v", try+1, n+1, err)
			}
			if err == nil {
				ends = append(ends, end)
			}
		}
	}
	end, err := u.begin(by(100), size)
	if err != nil {
		t.Fatalf("another user: got %v", err)
	}
	end()

	// However many they are, what they hold is bounded, and given back.
	for n := 200; len(ends) < 1000; n++ {
		end, err := u.begin(by(n), size)
		if err != nil {
			break
		}
		ends = append(ends, end)
	}
	if got, want := len(ends), uploadMemory/size; got != want {
		t.Errorf("got %d uploads of %d bytes, want %d", got, size, want)
	}
	if _, err := u.begin(by(300), size); !errors.Is(err, errRateLimited) {
		t.Errorf("got %v, want %v", err, errRateLimited)
	}
	for _, end := range ends {
		end()
	}
	if u.bytes != 0 || len(u.users) != 0 {
		t.Errorf("got %d bytes and %d users left, want none", u.bytes, len(u.users))
	}
}

// The bound on uploads is for whatever is read as a form, however its content type is written.
func TestAttackUploadsInCapitals(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"multipart/form-data", "Multipart/Form-Data", "MULTIPART/FORM-DATA"} {
		s := newTestSite(t)
		token := s.login()
		send := func(body io.Reader) int {
			r := httptest.NewRequest(http.MethodPost, "/auth/profile", body)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", kind+"; boundary=b")
			w := httptest.NewRecorder()
			s.serve(w, r)
			return w.Code
		}
		var held sync.WaitGroup
		var ends []io.Closer
		for range uploadsPerUser {
			body, client := io.Pipe()
			held.Go(func() { send(body) })
			_, _ = io.WriteString(client, "--b\r\nContent-Disposition: form-data; name=\"avatar\"\r\n\r\n") // until it is read
			ends = append(ends, client)
		}
		if got := send(strings.NewReader("--b--\r\n")); got != http.StatusTooManyRequests {
			t.Errorf("%s: got %d for one more, want 429", kind, got)
		}
		for _, end := range ends {
			_ = end.Close()
		}
		held.Wait()
	}
}
