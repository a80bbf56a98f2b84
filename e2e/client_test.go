//go:build unix

// The client of the tests, and the answers it gets.

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func newClient(t *testing.T, url string) client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return client{url, &http.Client{Transport: transport, Timeout: patience}}
}

// answer is the response to a request; status 0 means that none came.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

func (a answer) text(path ...string) string {
	var v any
	if json.Unmarshal(a.body, &v) != nil {
		return ""
	}
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

func (a answer) access() string  { return a.text("access_token") }
func (a answer) refresh() string { return a.text("refresh_token") }

// is reports whether the answer is an error of ours, or none if code is empty.
func (a answer) is(status int, code string) bool {
	return a.status == status && a.text("error") == code
}

func (c client) send(method, path, body string, headers ...string) answer {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, c.url+path, reader)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{err: err}
	}
	return answer{status: res.StatusCode, header: res.Header, body: text}
}

func (c client) get(path, token string) answer {
	if token == "" {
		return c.send("GET", path, "")
	}
	return c.send("GET", path, "", "Authorization", "Bearer "+token)
}

// post sends a JSON object of the given names and values.
func (c client) post(path, token string, pairs ...any) answer {
	object := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		object[pairs[i].(string)] = pairs[i+1]
	}
	body, _ := json.Marshal(object) // strings and booleans
	headers := []string{"Content-Type", "application/json"}
	if token != "" {
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	return c.send("POST", path, string(body), headers...)
}

func (c client) refresh(token string) answer {
	return c.post("/auth/refresh", "", "refresh_token", token)
}
