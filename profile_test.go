// The profile: seen, changed and erased.

package wechatauth_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// picture is a PNG of one color.
func picture(t *testing.T, width, height int, c color.Color) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width {
		for j := range height {
			m.Set(i, j, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// part is a part of a form: a file if it has a file name.
type part struct {
	name, file string
	content    []byte
}

// upload posts a form to the profile, as wx.uploadFile does.
func (s *site) upload(token string, parts ...part) answer {
	s.t.Helper()
	return s.uploadTo("/auth/profile", token, parts...)
}

func (s *site) uploadTo(path, token string, parts ...part) answer {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, p := range parts {
		header := textproto.MIMEHeader{}
		header.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q`, p.name))
		if p.file != "" {
			header.Set("Content-Disposition", fmt.Sprintf(`form-data; name=%q; filename=%q`, p.name, p.file))
			header.Set("Content-Type", "text/html")
		}
		w, err := form.CreatePart(header)
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = w.Write(p.content)
	}
	form.Close()
	return s.do("POST", path, token, body.String(), "Content-Type", form.FormDataContentType())
}

func avatarOf(t *testing.T, m []byte) part {
	t.Helper()
	return part{"avatar", "tmp_x.jpg", m}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	s := newSite(t, "header X-User-Nickname nickname", "header X-User-Avatar picture")
	u := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(u))
	token, refresh := a.text("access_token"), a.text("refresh_token")

	red := picture(t, 20, 10, color.RGBA{255, 0, 0, 255})
	a = s.upload(token, avatarOf(t, red), part{name: "nickname", content: []byte("  小明 👨‍👩‍👧 ")})
	want(t, a, 200, "")
	if a.text("refresh_token") != "" {
		t.Error("got a refresh token, want none: the session goes on")
	}
	path := a.text("user", "avatar")
	if a.text("user", "nickname") != "小明 👨‍👩‍👧" || !strings.HasPrefix(path, "/auth/avatar/") || !strings.HasSuffix(path, ".jpg") {
		t.Fatalf("got %s, want nickname and avatar", a.body)
	}
	token = a.text("access_token")
	if c := claims(t, token); c["nickname"] != "小明 👨‍👩‍👧" || c["picture"] != path {
		t.Errorf("got claims %v, want nickname and picture", c)
	}
	want(t, s.do("GET", "/api", token, ""), 200, "")
	if got := s.last().Header.Get("X-User-Nickname"); !strings.HasPrefix(got, "%E5%B0%8F%E6%98%8E") {
		t.Errorf("got nickname %q upstream, want it percent-encoded", got)
	}
	if got := s.last().Header.Get("X-User-Avatar"); got != path {
		t.Errorf("got avatar %q upstream, want %q", got, path)
	}

	// The picture needs no token, and is one.
	served := s.do("GET", path, "", "")
	if served.status != 200 || served.header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("got %d %q, want a JPEG", served.status, served.header.Get("Content-Type"))
	}
	if config, err := jpeg.DecodeConfig(bytes.NewReader(served.body)); err != nil || config.Width != 20 || config.Height != 10 {
		t.Errorf("got %v, %v, want a picture of 20 x 10", config, err)
	}

	// One thing at a time, the other stays.
	a = s.do("POST", "/auth/profile", token, object("nickname", "李雷"))
	want(t, a, 200, "")
	if a.text("user", "nickname") != "李雷" || a.text("user", "avatar") != path {
		t.Errorf("got %s, want the new name and the same picture", a.body)
	}
	blue := picture(t, 10, 10, color.RGBA{0, 0, 255, 255})
	a = s.upload(token, avatarOf(t, blue))
	want(t, a, 200, "")
	newPath := a.text("user", "avatar")
	if a.text("user", "nickname") != "李雷" || newPath == path {
		t.Errorf("got %s, want the same name and a new picture", a.body)
	}
	want(t, s.do("GET", path, "", ""), 404, "not_found")

	// It lasts: in the profile, at a refresh, at the next login.
	for name, got := range map[string]answer{
		"profile": s.do("GET", "/auth/profile", token, ""),
		"refresh": s.do("POST", "/auth/refresh", "", object("refresh_token", refresh)),
		"login":   s.login("code", s.fake.LoginCode(u)),
	} {
		want(t, got, 200, "")
		user, _ := got.field("user").(map[string]any)
		if name == "profile" {
			user, _ = got.field().(map[string]any)
		}
		if user["nickname"] != "李雷" || user["avatar"] != newPath {
			t.Errorf("%s: got %s, want nickname and avatar", name, got.body)
		}
	}
	if n := len(s.reached()); n != 1 {
		t.Errorf("%d requests reached the upstream, want the one to /api", n)
	}
}

func TestProfileForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile off", "profile {\nmax_upload 100KB\navatar 16\n}")
	token := s.token(s.fake.NewUser(s.appID))
	red := picture(t, 64, 32, color.RGBA{255, 0, 0, 255})
	name := part{name: "nickname", content: []byte("n")}
	tests := []struct {
		name   string
		parts  []part
		status int
		code   string
	}{
		{"picture first", []part{avatarOf(t, red), name}, 200, ""},
		{"name first", []part{name, avatarOf(t, red)}, 200, ""},
		{"name alone", []part{name}, 200, ""},
		{"with fields of the app's own", []part{{name: "page", content: []byte("1")}, avatarOf(t, red), {name: "x", file: "y", content: red}}, 200, ""},
		{"picture without a file name", []part{{name: "avatar", content: red}}, 200, ""},
		{"nothing", nil, 400, "invalid_request"},
		{"nothing of ours", []part{{name: "file", file: "x.png", content: red}}, 400, "invalid_request"},
		{"two pictures", []part{avatarOf(t, red), avatarOf(t, red)}, 400, "invalid_request"},
		{"two names", []part{name, name}, 400, "invalid_request"},
		{"empty name", []part{avatarOf(t, red), {name: "nickname"}}, 200, ""},
		{"empty name first", []part{{name: "nickname"}, avatarOf(t, red)}, 200, ""},
		{"blank name", []part{avatarOf(t, red), {name: "nickname", content: []byte(" \u3000")}}, 200, ""},
		{"empty name alone", []part{{name: "nickname"}}, 400, "invalid_request"},
		{"bad name", []part{avatarOf(t, red), {name: "nickname", content: []byte("a\nb")}}, 400, "invalid_request"},
		{"empty picture", []part{{name: "avatar", file: "x.png"}}, 415, "unsupported_media_type"},
		{"no picture", []part{avatarOf(t, []byte("<svg/>"))}, 415, "unsupported_media_type"},
		{"too large a picture", []part{avatarOf(t, make([]byte, 100_001))}, 413, "payload_too_large"},
		{"too large a form", []part{{name: "x", content: make([]byte, 300_000)}, name}, 413, "payload_too_large"},
		{"too many parts", []part{name, {name: "1"}, {name: "2"}, {name: "3"}, {name: "4"}, {name: "5"}, {name: "6"}, {name: "7"}, {name: "8"}, {name: "9"}, {name: "10"}, {name: "11"}, {name: "12"}, {name: "13"}, {name: "14"}, {name: "15"}, {name: "16"}}, 400, "invalid_request"},
	}
	for _, test := range tests {
		if a := s.upload(token, test.parts...); a.status != test.status || a.text("error") != test.code {
			t.Errorf("%s: got %d %s, want %d %s", test.name, a.status, a.body, test.status, test.code)
		}
	}
	whole := "--x\r\nContent-Disposition: form-data; name=\"nickname\"\r\n\r\nn\r\n--x--\r\n"
	for cut := range len(whole) - 4 { // the last line break and dashes are a matter of taste
		if a := s.do("POST", "/auth/profile", token, whole[:cut], "Content-Type", "multipart/form-data; boundary=x"); a.status != 400 {
			t.Errorf("cut after %d bytes: got %d %s, want 400", cut, a.status, a.body)
		}
	}
	for name, contentType := range map[string]string{
		"no boundary": "multipart/form-data", "other boundary": "multipart/form-data; boundary=other",
	} {
		if a := s.do("POST", "/auth/profile", token, "--x\r\n\r\n--x--\r\n", "Content-Type", contentType); a.status != 400 {
			t.Errorf("%s: got %d, want 400", name, a.status)
		}
	}
	for _, contentType := range []string{"multipart/mixed; boundary=x", "application/x-www-form-urlencoded"} {
		if a := s.do("POST", "/auth/profile", token, "--x--", "Content-Type", contentType); a.status != 415 {
			t.Errorf("%s: got %d, want 415", contentType, a.status)
		}
	}
	a := s.do("GET", s.do("GET", "/auth/profile", token, "").text("avatar"), "", "")
	if config, err := jpeg.DecodeConfig(bytes.NewReader(a.body)); err != nil || config.Width != 16 {
		t.Errorf("got %v, %v, want the longest side 16", config, err)
	}
}

func TestProfileNeedsAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		if a := s.do(method, "/auth/profile", "", ""); a.status != 401 {
			t.Errorf("%s: got %d, want 401", method, a.status)
		}
	}
	want(t, s.do("PUT", "/auth/profile", "", ""), 405, "method_not_allowed")
	for _, path := range []string{"/auth/avatar/", "/auth/avatar/x.jpg", "/auth/avatar/..%2fx.jpg", "/auth/avatar/" + strings.Repeat("a", 64) + ".jpg", "/auth/avatar"} {
		want(t, s.do("GET", path, "", ""), 404, "not_found")
	}
	want(t, s.do("POST", "/auth/avatar/x.jpg", "", ""), 405, "method_not_allowed")
	a := s.do("DELETE", "/auth/profile", s.token(s.fake.NewUser(s.appID)), "", "Early-Data", "1")
	want(t, a, 425, "too_early")
	want(t, s.do("GET", "/auth/profile", s.token(s.fake.NewUser(s.appID)), "", "Early-Data", "1"), 200, "")
}

// Who sends the file itself, as many do at first, is told what to send instead; also when it is
// larger than what the route takes as JSON.
func TestPictureThatIsNoForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile off")
	token := s.token(s.fake.NewUser(s.appID))
	red := string(picture(t, 64, 32, color.RGBA{255, 0, 0, 255}))
	large := red + strings.Repeat("\x00", 8<<20)
	for _, test := range []struct {
		contentType, body string
		status            int
	}{
		{"image/jpeg", red, 415},
		{"image/png", large, 415},
		{"application/json", red, 400},
		{"application/json", large, 413},
		{"application/octet-stream", red, 400},
		{"", red, 400},
		{"", large, 413},
		{"application/x-www-form-urlencoded", red, 415},
		{"multipart/mixed; boundary=x", red, 415},
	} {
		a := s.do("POST", "/auth/profile", token, test.body, "Content-Type", test.contentType)
		if text := a.text("error_description"); a.status != test.status || !strings.Contains(text, "send a multipart form with a file named avatar") {
			t.Errorf("%q, %d bytes: got %d %s, want %d and what to send", test.contentType, len(test.body), a.status, a.body, test.status)
		}
	}
}

// A flood of uploads is refused, and one user's does not disturb another.
// Threats: T99.
func TestAttackUploadFlood(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile 3/1h")
	token, other := s.token(s.fake.NewUser(s.appID)), s.token(s.fake.NewUser(s.appID))
	red := avatarOf(t, picture(t, 4, 4, color.White))
	for range 3 {
		want(t, s.upload(token, red), 200, "")
	}
	a := s.upload(token, red)
	want(t, a, 429, "rate_limited")
	if a.header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	want(t, s.upload(other, red), 200, "")
}

// Personal data: DELETE erases the user at once, and nothing that was under way brings him back.
func TestEraseProfile(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on")
	u := s.fake.NewUser(s.appID)
	first := s.login("code", s.fake.LoginCode(u))
	token := s.token(u)
	want(t, s.do("POST", "/auth/phone", token, object("code", s.fake.PhoneCode(u, "13800138000"))), 200, "")
	a := s.upload(token, avatarOf(t, picture(t, 4, 4, color.Black)), part{name: "nickname", content: []byte("小明")})
	want(t, a, 200, "")
	path := a.text("user", "avatar")

	if a := s.do("DELETE", "/auth/profile", token, ""); a.status != 204 || len(a.body) != 0 {
		t.Fatalf("got %d %s, want 204", a.status, a.body)
	}
	want(t, s.do("GET", path, "", ""), 404, "not_found")
	for _, dead := range []string{token, first.text("access_token")} {
		want(t, s.do("GET", "/api", dead, ""), 401, "session_revoked")
	}
	want(t, s.do("POST", "/auth/refresh", "", object("refresh_token", first.text("refresh_token"))), 401, "refresh_invalid")

	a = s.login("code", s.fake.LoginCode(u))
	want(t, a, 200, "")
	user, _ := a.field("user").(map[string]any)
	if user["new"] != true || user["phone"] != nil || user["nickname"] != nil || user["avatar"] != nil {
		t.Errorf("got %v, want a new user", user)
	}
}

// A phone exchange and an upload that are under way while the user is erased do not bring the phone
// or the picture back.
func TestErasedStaysErased(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile off", "limit phone off")
	for range 20 {
		u := s.fake.NewUser(s.appID)
		token := s.token(u)
		code := s.fake.PhoneCode(u, "13800138000")
		red := avatarOf(t, picture(t, 4, 4, color.Black))
		var wg sync.WaitGroup
		var uploaded string
		wg.Go(func() { s.do("POST", "/auth/phone", token, object("code", code)) })
		wg.Go(func() { uploaded = s.upload(token, red).text("user", "avatar") })
		wg.Go(func() { s.do("DELETE", "/auth/profile", token, "") })
		wg.Wait()
		user, _ := s.login("code", s.fake.LoginCode(u)).field("user").(map[string]any)
		if user["phone"] != nil || user["avatar"] != nil || user["new"] != true {
			t.Fatalf("got %v after the user was erased, want a new user", user)
		}
		if uploaded != "" {
			if got := s.do("GET", uploaded, "", "").status; got != http.StatusNotFound {
				t.Fatalf("got %d for the picture of an erased user, want 404", got)
			}
		}
	}
}
