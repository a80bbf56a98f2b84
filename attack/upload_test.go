// Hostile uploads.

package attack_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var avatarPattern = regexp.MustCompile(`^/auth/avatar/[0-9a-f]{64}\.jpg$`)

// plainJPEG is a JPEG with further segments behind its first two bytes.
func plainJPEG(t testing.TB, width, height int, segments ...[]byte) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7)
	}
	img.Set(0, 0, color.White)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return bytes.Join(append(append([][]byte{out.Bytes()[:2]}, segments...), out.Bytes()[2:]), nil)
}

func jpegSegment(marker byte, body string) []byte {
	return append([]byte{0xff, marker, byte((len(body) + 2) >> 8), byte(len(body) + 2)}, body...)
}

// upload uploads a picture, which must work, and returns the answer and the picture as it is
// served.
func (r *rig) upload(t *testing.T, site, token string, picture []byte) (a, served answer) {
	t.Helper()
	a = r.profile(t, site, token, filePart("avatar", "x.jpg", picture))
	want(t, a, 200, "")
	served = r.do(t, site, http.MethodGet, a.text("user", "avatar"), "")
	if served.status != 200 {
		t.Fatalf("the picture: got %d %s", served.status, served.body)
	}
	return a, served
}

// What is no picture, or too much of one, is refused whatever it is called.
// Threats: T92, T93, T94, C49.
func TestAttackUploadOfAnythingElse(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "pictures")
	const svg = `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`
	huge := plainPNG(t, 1, 1)
	copy(huge[16:], "\x00\x00\x75\x30\x00\x00\x75\x30") // its header says 30000 x 30000
	picture := plainJPEG(t, 40, 30)
	tests := []struct {
		name    string
		content []byte
		status  int
	}{
		{"nothing", nil, 415},
		{"SVG", []byte(svg), 415},
		{"SVG with a declaration", []byte(`<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + svg), 415},
		{"HTML", []byte("<!DOCTYPE html><script>alert(1)</script>"), 415},
		{"PDF", []byte("%PDF-1.7\n1 0 obj<</OpenAction 2 0 R>>"), 415},
		{"TIFF", []byte("II*\x00\x08\x00\x00\x00\x00\x00"), 415},
		{"TIFF, big endian", []byte("MM\x00*\x00\x00\x00\x08\x00\x00"), 415},
		{"BMP", append([]byte("BM"), make([]byte, 200)...), 415},
		{"ICO", append([]byte{0, 0, 1, 0, 1, 0}, make([]byte, 200)...), 415},
		{"HEIC", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), 415},
		{"AVIF", []byte("\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif"), 415},
		{"EPS", []byte("%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (r) file"), 415},
		{"MVG", []byte("push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x'"), 415},
		{"ELF", []byte("\x7fELF\x02\x01\x01"), 415},
		{"ZIP", []byte("PK\x03\x04\x14\x00"), 415},
		{"GIF that is JavaScript", []byte("GIF89a/*\x00*/=alert(1);//"), 413},
		{"JPEG cut off", picture[:len(picture)/2], 415},
		{"JPEG that is two bytes", picture[:2], 415},
		{"PNG with a wrong sum", append(plainPNG(t, 9, 9)[:40], make([]byte, 40)...), 415},
		{"script before a JPEG", append([]byte("<script>"), picture...), 415},
		{"30000 x 30000", huge, 413},
		{"a byte too large", append(picture, make([]byte, 4_000_001-len(picture))...), 413},
		{"20 MB", append(picture, make([]byte, 20<<20)...), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code := map[int]string{413: "payload_too_large", 415: "unsupported_media_type"}[tt.status]
			for _, file := range []string{"x.jpg", "x.svg", "x.html"} {
				want(t, r.profile(t, "pictures", u.token, filePart("avatar", file, tt.content)), tt.status, code)
			}
		})
	}
	t.Run("still no picture", func(t *testing.T) {
		if a := r.do(t, "pictures", http.MethodGet, "/auth/profile", u.token); a.text("avatar") != "" {
			t.Errorf("got %s, want no avatar", a.body)
		}
	})
}

// Nothing of a file survives but what can be seen of it.
// Threats: T95, T96, C49.
func TestAttackPolyglotsAndMetadata(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "pictures")
	const script = "<script>alert('rig')</script>"
	gps := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x88\x25\x00\x04\x00\x00\x00\x01\x00\x00\x00\x1a GPS 39.9087 Canon"
	png := plainPNG(t, 40, 30)
	for name, picture := range map[string][]byte{
		"tail":        append(plainJPEG(t, 40, 30), "\n"+script+"PK\x03\x04<?php"...),
		"comment":     plainJPEG(t, 40, 30, jpegSegment(0xfe, script)),
		"Exif":        plainJPEG(t, 40, 30, jpegSegment(0xe1, gps)),
		"XMP":         plainJPEG(t, 40, 30, jpegSegment(0xe1, "http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>"+script)),
		"ICC":         plainJPEG(t, 40, 30, jpegSegment(0xe2, "ICC_PROFILE\x00\x01\x01"+script)),
		"PNG tail":    append(bytes.Clone(png), script...),
		"PNG comment": bytes.Replace(png, png[33:], append(pngChunk("tEXt", "Comment\x00"+script), png[33:]...), 1),
	} {
		_, served := r.upload(t, "pictures", u.token, picture)
		for _, part := range []string{"script", "alert", "Exif", "GPS", "Canon", "PK\x03", "<?php", "ICC_", "adobe", "Comment"} {
			if bytes.Contains(served.body, []byte(part)) {
				t.Errorf("%s: the served picture has %q", name, part)
			}
		}
		if config, err := jpeg.DecodeConfig(bytes.NewReader(served.body)); err != nil || config.Width != 40 {
			t.Errorf("%s: got %v, %v, want a JPEG of 40 x 30", name, config, err)
		}
	}
}

// No name that the client chose becomes a name here.
// Threats: T97, C49.
func TestAttackFileNames(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "pictures")
	for i, file := range []string{
		"../../rig-x", `..\..\rig-x`, "/etc/cron.d/rig-x", "rig-x.php", "C:\\rig-x", "%2e%2e%2frig-x", "rig-x\x00.jpg", strings.Repeat("rig-x", 200), "rig-x\r\nX-Rig: 1", ".",
	} {
		a := r.profile(t, "pictures", u.token, filePart("avatar", file, plainJPEG(t, 10+i, 10)))
		if a.status == 400 { // no form at all
			continue
		}
		want(t, a, 200, "")
		if path := a.text("user", "avatar"); !avatarPattern.MatchString(path) {
			t.Errorf("%q: got %q", file, path)
		}
	}
	err := filepath.WalkDir(r.dir, func(path string, _ fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if strings.Contains(name, "rig-x") || strings.HasSuffix(name, ".jpg") && !strings.HasPrefix(path, filepath.Join(r.dir, "storage", "wechat_auth", "avatars")) {
			t.Errorf("there is %s", path)
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Error(err)
	}
}

// How pictures are served, to whoever asks.
// Threats: T98, C49.
func TestServedPictures(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "pictures")
	a, served := r.upload(t, "pictures", u.token, plainJPEG(t, 40, 30))
	path := a.text("user", "avatar")
	for name, value := range map[string]string{
		"Content-Type": "image/jpeg", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox",
		"Cache-Control": "public, max-age=31536000, immutable", "Content-Disposition": `inline; filename="avatar.jpg"`, "Content-Length": itoa(len(served.body)),
		"Set-Cookie": "", "Content-Encoding": "", "Www-Authenticate": "", "X-WX-OPENID": "",
	} {
		if got := served.header.Get(name); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	etag := served.header.Get("Etag")
	for _, tt := range []struct {
		method, token string
		header        []string
		status, size  int
	}{
		{"GET", u.token, nil, 200, len(served.body)},
		{"GET", "not.a.token", nil, 200, len(served.body)},
		{"HEAD", "", nil, 200, 0},
		{"GET", "", []string{"If-None-Match", etag}, 304, 0},
		{"HEAD", "", []string{"If-None-Match", etag}, 304, 0},
		{"GET", "", []string{"If-None-Match", `W/` + etag + `, "x"`}, 304, 0},
		{"GET", "", []string{"If-None-Match", "*"}, 304, 0},
		{"GET", "", []string{"If-None-Match", `"x"`}, 200, len(served.body)},
		{"GET", "", []string{"Range", "bytes=0-3"}, 200, len(served.body)},
		{"GET", "", []string{"If-Match", `"x"`}, 200, len(served.body)},
		{"POST", u.token, nil, 405, -1},
		{"DELETE", u.token, nil, 405, -1},
	} {
		got := r.do(t, "pictures", tt.method, path, tt.token, tt.header...)
		if got.status != tt.status || tt.size >= 0 && len(got.body) != tt.size {
			t.Errorf("%s with %q: got %d and %d bytes, want %d and %d", tt.method, tt.header, got.status, len(got.body), tt.status, tt.size)
		}
	}

	// The same picture of another is another.
	other := r.login(t, "pictures")
	b, _ := r.upload(t, "pictures", other.token, plainJPEG(t, 40, 30))
	if b.text("user", "avatar") == path {
		t.Error("two users have one picture")
	}
	// A new picture has a new address, and the old one is gone.
	r.upload(t, "pictures", u.token, plainJPEG(t, 41, 30))
	want(t, r.do(t, "pictures", http.MethodGet, path, ""), 404, "not_found")
	// Under another base path the same picture has another address.
	based := r.loginAs(t, "based", other.User)
	moved := answer{body: based.body}.text("user", "avatar")
	if want := strings.Replace(b.text("user", "avatar"), "/auth/", "/api/wx/", 1); moved != want {
		t.Errorf("got %q, want %q", moved, want)
	}
	if got := r.do(t, "based", http.MethodGet, moved, ""); got.status != 200 {
		t.Errorf("under another base path: got %d %s", got.status, got.body)
	}
	want(t, r.do(t, "based", http.MethodGet, b.text("user", "avatar"), ""), 401, "token_missing")
	// It goes with its user.
	want(t, r.do(t, "pictures", http.MethodDelete, "/auth/profile", other.token), 204, "")
	want(t, r.do(t, "pictures", http.MethodGet, b.text("user", "avatar"), ""), 404, "not_found")
	want(t, r.do(t, "based", http.MethodGet, moved, ""), 404, "not_found")
}

// Whatever stands behind /avatar/, it is a picture of this very name or nothing, and never reaches
// the upstream.
func TestAttackAvatarPaths(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "pictures")
	a, _ := r.upload(t, "pictures", u.token, plainJPEG(t, 20, 20))
	path := a.text("user", "avatar")
	hash := strings.TrimSuffix(strings.TrimPrefix(path, "/auth/avatar/"), ".jpg")
	for _, target := range []string{
		"/auth/avatar", "/auth/avatar/", "/auth/avatar/.jpg", "/auth/avatar/..", "/auth/avatar/../login", "/auth/avatar/..%2flogin", "/auth/avatar/" + hash, path + "/", path + "/x",
		"/auth/avatar//" + hash + ".jpg", "/auth/avatar/./" + hash + ".jpg", "/auth//avatar/" + hash + ".jpg", "/auth/avatar/x/../" + hash + ".jpg", "/auth/AVATAR/" + hash + ".jpg",
		"/auth/avatar/" + strings.ToUpper(hash) + ".jpg", "/auth/avatar/" + hash + ".JPG", "/auth/avatar/" + hash + ".jpg%00", "/auth/avatar/" + hash + "%00.jpg",
		"/auth/avatar/" + hash + ".jpg%2f..%2fx.jpg", "/auth/avatar/" + hash + ".png", "/auth/avatar/" + hash[:63] + "g.jpg", "/auth/avatar/" + hash[:32] + ".jpg", "/auth/avatar/" + hash[32:] + hash[:32] + ".jpg",
		"/auth/avatar/" + hash[:32] + "/" + hash[32:] + ".jpg", "/auth/avatar/" + strings.Repeat("0", 64) + ".jpg", "/auth/avatar/..%2f..%2f..%2fcaddy.log", "/auth/avatar/%2e%2e/%2e%2e/hs.secret",
		`/auth/avatar/..\..\hs.secret`, "/auth/avatar/" + strings.Replace(hash, hash[:1], fmt.Sprintf("%%%02x", hash[0]), 1) + ".jpg", "/auth/avatar/" + strings.Repeat("a", 10000) + ".jpg",
	} {
		for _, fields := range [][]string{nil, {bearer(u.token)}} {
			got := r.exchange(t, "pictures", raw("GET "+target, fields...))
			if got.status != 404 && got.status != 400 || len(got.reached) > 0 || bytes.HasPrefix(got.body, []byte("\xff\xd8")) {
				t.Errorf("%.100s: got %d %.80q and %d requests upstream, want 404", target, got.status, got.body, len(got.reached))
			}
		}
	}
	for _, target := range []string{path + "?x=1", path + "?", path + "?../../"} {
		if got := r.exchange(t, "pictures", raw("GET "+target)); got.status != 200 {
			t.Errorf("%s: got %d, want the picture", target, got.status)
		}
	}
}

// A user changes the profile ten times a minute, and no more.
// Threats: T99, C49.
func TestAttackUploadFlood(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u, other := r.login(t, "main"), r.login(t, "main")
	picture := plainJPEG(t, 10, 10)
	for i := range 14 {
		a := r.profile(t, "main", u.token, filePart("avatar", "x", picture))
		if i < 10 {
			want(t, a, 200, "")
			continue
		}
		want(t, a, 429, "rate_limited")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	want(t, r.profile(t, "main", other.token, filePart("avatar", "x", picture)), 200, "")
}
