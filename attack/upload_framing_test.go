// Uploads over each version of HTTP, and slow ones.

package attack_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// How the body arrives does not count, nor what is said of it.
func TestUploadsOverEveryFraming(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "pictures")
	contentType, body := form(t, textPart("nickname", "框"), filePart("avatar", "x.jpg", plainJPEG(t, 60, 30)))
	_, tooLarge := form(t, filePart("avatar", "x.jpg", make([]byte, 5_000_000)))
	for name, client := range streamClients() {
		for what, content := range map[string]io.Reader{"with a length": bytes.NewReader(body), "without": io.MultiReader(bytes.NewReader(body))} {
			req := streamRequest(t, http.MethodPost, "http://"+r.addr["pictures"]+"/auth/profile", u.token, content)
			req.Header.Set("Content-Type", contentType)
			if a := send(t, client, req); a.status != 200 || !avatarPattern.MatchString(a.text("user", "avatar")) {
				t.Errorf("%s %s: got %d %s", name, what, a.status, a.body)
			}
		}
		req := streamRequest(t, http.MethodPost, "http://"+r.addr["pictures"]+"/auth/profile", u.token, io.MultiReader(bytes.NewReader(tooLarge)))
		req.Header.Set("Content-Type", contentType)
		resp, err := client.Do(req)
		if err != nil { // the server answered and closed before all was sent
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 413 && resp.StatusCode != 400 {
			t.Errorf("%s: too large: got %d", name, resp.StatusCode)
		}
	}
	head := func(fields ...string) string {
		return raw("POST /auth/profile", append([]string{bearer(u.token), "Content-Type: " + contentType}, fields...)...)
	}
	// Announced longer than it is: nothing happens until the client gives up.
	conn := dial(t, r.addr["pictures"])
	if _, err := io.WriteString(conn, strings.Replace(head("Content-Length: "+itoa(len(body)+100)), "\r\n", "\r\nHost: x\r\n", 1)+string(body[:len(body)-10])); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	// Announced shorter: what is behind is another request, and no good one.
	if got := r.exchange(t, "pictures", head("Content-Length: "+itoa(len(body)-40))+string(body)); got.status != 400 || len(got.reached) > 0 {
		t.Errorf("announced shorter: got %d %s", got.status, got.body)
	}
	for _, fields := range [][]string{{"Content-Length: 10", "Content-Length: 11"}, {"Content-Length: -1"}, {"Content-Length: 10", "Transfer-Encoding: chunked"}} {
		if got := r.exchange(t, "pictures", head(fields...)+string(body)); got.status == 200 && len(fields) == 1 || len(got.reached) > 0 {
			t.Errorf("%q: got %d %s", fields, got.status, got.body)
		}
	}
}

// Uploads that never end, by as many as there are decoders and more, keep nobody else from
// uploading.
// Threats: T99, F11.
func TestAttackSlowUploads(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	quick := r.login(t, "pictures")
	contentType, body := form(t, filePart("avatar", "x.jpg", plainJPEG(t, 60, 30)))
	var readers []*bufio.Reader
	var rest []io.Writer
	var slow rigUser
	for i := range 30 { // two of a user
		if i%2 == 0 {
			slow = r.login(t, "pictures")
		}
		conn := dial(t, r.addr["pictures"])
		head := raw("POST /auth/profile", "Host: site.test", bearer(slow.token), "Content-Type: "+contentType, "Content-Length: "+itoa(len(body)))
		if _, err := io.WriteString(conn, head+string(body[:len(body)-2])); err != nil {
			t.Fatal(err)
		}
		readers, rest = append(readers, bufio.NewReader(conn)), append(rest, conn)
	}
	start := time.Now()
	want(t, r.profile(t, "pictures", quick.token, filePart("avatar", "x", body[:0]), textPart("nickname", "慢")), 415, "unsupported_media_type")
	r.upload(t, "pictures", quick.token, plainJPEG(t, 30, 30))
	want(t, r.profile(t, "pictures", slow.token, filePart("avatar", "x", plainJPEG(t, 30, 30))), 429, "rate_limited") // a third one
	t.Logf("three requests took %s", time.Since(start).Round(time.Millisecond))
	for i, conn := range rest[:3] { // and they were under way all the time
		if _, err := conn.Write(body[len(body)-2:]); err != nil {
			t.Fatal(err)
		}
		if a, err := readAnswer(readers[i], http.MethodPost); err != nil || a.status != 200 {
			t.Errorf("a slow upload that ended: got %d %s %v", a.status, a.body, err)
		}
	}
}
