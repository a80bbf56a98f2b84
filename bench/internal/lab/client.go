package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// RequestHeaders are those of a mini program's request, besides the token.
var RequestHeaders = [][2]string{
	{"Host", "api.example.com"},
	{"User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 MicroMessenger/8.0.50(0x1800322f) NetType/WIFI Language/zh_CN"},
	{"Accept", "*/*"},
	{"Accept-Encoding", "gzip,compress,br,deflate"},
	{"Content-Type", "application/json"},
	{"Referer", "https://servicewechat.com/" + AppID + "/12/page-frame.html"},
}

// NewClient returns an HTTP client that keeps so many connections open.
func NewClient(connections int) *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true,
		},
	}
}

// Get sends a request with a token, and wants success.
func Get(ctx context.Context, client *http.Client, addr, path, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	_, err = exchange(client, req, token)
	return err
}

// Tokens is what login, phone and refresh answer.
type Tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// Post sends names and values as JSON to a route of wechat_auth.
func Post(ctx context.Context, client *http.Client, addr, route, token string, fields map[string]string) (t Tokens, err error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return t, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+route, strings.NewReader(string(body)))
	if err != nil {
		return t, err
	}
	answer, err := exchange(client, req, token)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(answer, &t)
}

// exchange sends a request as a mini program does, and wants success.
func exchange(client *http.Client, req *http.Request, token string) ([]byte, error) {
	for _, h := range RequestHeaders {
		req.Header.Set(h[0], h[1])
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: got %d %s, want 200", req.Method, req.URL.Path, res.StatusCode, answer)
	}
	return answer, err
}
