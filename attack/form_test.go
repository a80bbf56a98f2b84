// Multipart forms as wx.uploadFile sends them.

package attack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"testing"
)

// formPart is a part of a form: a file if it has a file name.
type formPart struct {
	name, file string
	content    []byte
}

func filePart(name, file string, content []byte) formPart { return formPart{name, file, content} }
func textPart(name, text string) formPart                 { return formPart{name: name, content: []byte(text)} }

// form writes a form as wx.uploadFile does, whatever the file names are.
func form(t *testing.T, parts ...formPart) (contentType string, body []byte) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for _, p := range parts {
		header := textproto.MIMEHeader{}
		header.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"`, p.name))
		if p.file != "" {
			header.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, p.name, p.file))
			header.Set("Content-Type", "image/jpeg")
		}
		part, err := w.CreatePart(header)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(p.content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), out.Bytes()
}

// profile posts a form to the profile.
func (r *rig) profile(t *testing.T, site, token string, parts ...formPart) answer {
	t.Helper()
	contentType, body := form(t, parts...)
	return r.post(t, site, r.base(site)+"/profile", token, string(body), "Content-Type", contentType)
}

// do sends a request without a body.
func (r *rig) do(t *testing.T, site, method, path, token string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.addr[site]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(t, http.DefaultClient, req)
}

// plainPNG is a PNG of so many pixels.
func plainPNG(t testing.TB, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pngChunk is a part of a PNG.
func pngChunk(kind, body string) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind+body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

// ignoreMissing takes files that come and go for none.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
