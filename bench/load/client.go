package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// get sends the request that is measured, with a token.
func (b *bench) get(ctx context.Context, client *http.Client, addr, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+requestPath, nil)
	if err != nil {
		return err
	}
	_, err = exchange(client, req, token)
	return err
}

// tokens is what login, phone and refresh answer.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// post sends names and values as JSON to a route of wechat_auth.
func post(ctx context.Context, client *http.Client, addr, route, token string, fields map[string]string) (t tokens, err error) {
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
	for _, h := range requestHeaders {
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
