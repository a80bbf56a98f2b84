// The answer of a site and the checks on it.

package attack_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// field returns a field of the JSON answer by its path of names, nil if it is not there.
func (a answer) field(path ...string) any {
	var value any
	if err := json.Unmarshal(a.body, &value); err != nil {
		return nil
	}
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func (a answer) text(path ...string) string {
	text, _ := a.field(path...).(string)
	return text
}

func send(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// object writes names and values as a JSON object.
func object(fields ...string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	text, _ := json.Marshal(m)
	return string(text)
}

// want checks status and error code of an answer.
func want(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if got := a.text("error"); a.status != status || got != code {
		t.Fatalf("got %d %q, want %d %q: %s", a.status, got, status, code, a.body)
	}
	if a.status >= 400 && a.text("error_description") == "" {
		t.Errorf("error without description: %s", a.body)
	}
}

// claims reads a token without verifying it.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
