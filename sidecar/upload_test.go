// Uploads that never end.

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What has come of an upload lies in memory. So one that never ends is ended, or whoever may log in
// fills it: ten uploads a minute are allowed.
func TestAttackEndlessUpload(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, func(c *Config, _ *Deps) { c.Profile.UploadTime = 300 * time.Millisecond })
	token := s.login()
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /auth/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n"+
		"Content-Disposition: form-data; name=\"avatar\"; filename=\"x\"\r\n\r\n", token)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = io.WriteString(conn, "x")
			}
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("got %d, want 400", resp.StatusCode)
	}
	// The limit ends with the body.
	time.Sleep(300 * time.Millisecond)
	if status, answer := s.do("POST", "/auth/profile", token, `{"nickname":"李雷"}`); status != http.StatusOK {
		t.Errorf("got %d %v", status, answer)
	}
}
