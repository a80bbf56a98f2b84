// Uploads that are large, or slow.

package wechatauth_test

import (
	"bufio"
	"fmt"
	"image/color"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// An upload that is too large is told so: clients send all before they read, and would read nothing
// on a connection closed meanwhile.
func TestTooLargeUploadHearsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "profile {\nmax_upload 100KB\n}")
	token := s.token(s.fake.NewUser(s.appID))
	for range 3 {
		want(t, s.upload(token, avatarOf(t, make([]byte, 8<<20))), 413, "payload_too_large")
		want(t, s.upload(token, part{name: "nickname", content: make([]byte, 80<<10)}), 413, "payload_too_large")
	}
}

// One user's uploads that never end are two, and everybody else goes on.
// Threats: T99, F11.
func TestAttackUploadsOfOneUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile off")
	token, other := s.token(s.fake.NewUser(s.appID)), s.token(s.fake.NewUser(s.appID))
	red := avatarOf(t, picture(t, 4, 4, color.Black))
	for range 2 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// What is expected to be continued is being read.
		_, err = fmt.Fprintf(conn, "POST /auth/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n", token)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
			t.Fatalf("got %q, %v, want 100", line, err)
		}
	}
	a := s.upload(token, red)
	want(t, a, 429, "rate_limited")
	if a.header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	want(t, s.do("POST", "/auth/profile", token, object("nickname", "n")), 200, "")
	want(t, s.upload(other, red), 200, "")
}

// 413 MB, where there were 58. It measures, so it cannot run beside other tests:
//
//	go test . -run TestAttackUploadsFillMemory -v
//
// Threats: F11.
func TestAttackUploadsFillMemory(t *testing.T) {
	const size, most = 4_000_000, 160 << 20
	s := newSite(t, "limit profile off", "limit login off")
	heap := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	before := heap()
	chunk := make([]byte, 64<<10)
	admitted := 0
	for range 40 {
		token := s.token(s.fake.NewUser(s.appID))
		for range 2 {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, "POST /auth/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", token, size)
			if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
				continue
			}
			admitted++
			_, _ = io.WriteString(conn, "--b\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"x\"\r\n\r\n")
			for sent := 0; sent < size-100_000; sent += len(chunk) {
				if _, err := conn.Write(chunk); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	got := heap() - before
	t.Logf("%d uploads of %d MB hold %d MB", admitted, size/1_000_000, got>>20)
	if admitted < 30 || admitted > 34 || got > most {
		t.Errorf("got %d uploads and %d MB, want about 33 and %d at most", admitted, got>>20, most>>20)
	}
}
