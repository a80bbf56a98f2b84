//go:build unix

// What is sent to the servers of the rig.

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

func (s server) tryNames(t *testing.T) {
	for _, name := range []string{"X-WX-OPENID", "X-WX-PHONE", "X-WX-UNIONID", "X-WX-SOURCE", "X-WX-APPID", "X-User", "X-Phone-Number"} {
		lines := ""
		for _, odd := range oddSpellings(name) {
			lines += odd + ": victim\r\n"
		}
		s.tryEverywhere(t, name, "GET", lines, "")
	}
}

// tryEverywhere sends lines to a public, an optional and a guarded program, with and without a
// token.
func (s server) tryEverywhere(t *testing.T, what, method, lines, body string) {
	t.Helper()
	bearer := "Authorization: Bearer " + s.token + "\r\n"
	s.wantNobody(t, what+", public", s.raw(t, method, "/public/"+s.file, lines, body))
	s.wantNobody(t, what+", public with a token", s.raw(t, method, "/public/"+s.file, bearer+lines, body))
	s.wantNobody(t, what+", optional", s.raw(t, method, "/optional/"+s.file, lines, body))
	s.wantUser(t, what+", optional with a token", s.raw(t, method, "/optional/"+s.file, bearer+lines, body))
	s.wantUser(t, what+", guarded", s.raw(t, method, "/api/"+s.file, lines+bearer, body))
}

func (s server) tryLines(t *testing.T) {
	for _, lines := range []string{
		"X-WX-OPENID: victim\r\nx-wx-openid: victim\r\nX-WX-OPENID:\r\n",
		"X-WX-OPENID: victim, o-other\r\n",
		"X-WX-OPENID:\r\n",
		"X-WX-OPENID:victim\r\n",
		"X-WX-OPENID:\tvictim\r\n",
		"X-WX-OPENID : victim\r\n",
		"X-Other: a\r\n X-WX-OPENID: victim\r\n",
		"X-Other: a\r\n\tX-WX-OPENID: victim\r\n",
		"X-Other: a\nX-WX-OPENID: victim\r\n",
		"X-Other: a\rX-WX-OPENID: victim\r\n",
		"X-Other: a\x00X-WX-OPENID: victim\r\n",
		"X-Other: a\u2028X-WX-OPENID: victim\r\n",
		"X-WX-\u017fOURCE: victim\r\n",
		"X-WX-OPENID\u00a0: victim\r\n",
		"X\u2010WX\u2010OPENID: victim\r\n",
		"X-WX%2DOPENID: victim\r\n",
		"X-WX-OPENID[]: victim\r\n",
		"HTTP-X-WX-OPENID: victim\r\nHTTP_X_WX_OPENID: victim\r\n",
		"REMOTE_USER: victim\r\nRemote-User: victim\r\nAuth-Type: Basic\r\n",
		"Proxy: http://victim\r\n",
		"Connection: close, X-WX-OPENID, X-User\r\n",
		"Connection: X_WX_OPENID\r\nX_WX_OPENID: victim\r\n",
		"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nX-WX-OPENID: victim\r\n",
		"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-WX-OPENID: victim\r\n",
		"Cookie: X-WX-OPENID=victim; x_wx_openid=victim\r\n",
		"X-WX-OPENID: " + strings.Repeat("v", 3000) + "\r\n",
		"X-WX-OPENID" + strings.Repeat("-", 200) + ": victim\r\n",
		"Host: victim\r\n",
		"X-Forwarded-User: victim\r\nX-Forwarded-For: 127.0.0.1\r\nForwarded: for=victim\r\n",
	} {
		s.tryEverywhere(t, fmt.Sprintf("%q", lines[:min(len(lines), 80)]), "GET", lines, "")
	}
	chunked := "Transfer-Encoding: chunked\r\nTrailer: X-WX-OPENID, X_User\r\n"
	for what, body := range map[string]string{
		"trailers":         "3\r\nabc\r\n0\r\nX-WX-OPENID: victim\r\nX_User: victim\r\nX~WX~PHONE: victim\r\n\r\n",
		"chunk extensions": "3;X-WX-OPENID=victim;a=\"\r\n\r\nX-WX-OPENID: victim\"\r\nabc\r\n0\r\n\r\n",
	} {
		s.tryEverywhere(t, what, "POST", chunked, body)
	}
	inner := "GET /api/" + s.file + " HTTP/1.1\r\nHost: localhost\r\nX-WX-OPENID: victim\r\n\r\n"
	last := "GET /public/" + s.file + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	for what, lines := range map[string]string{
		"length and chunked":         "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"chunked in odd letters":     "Transfer-Encoding: xchunked\r\n",
		"chunked twice":              "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"a tab before chunked":       "Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n",
		"Transfer_Encoding":          fmt.Sprintf("Transfer_Encoding: chunked\r\nContent-Length: %d\r\n", len("0\r\n\r\n"+inner)),
		"Content_Length":             "Content_Length: 0\r\nContent-Length: " + fmt.Sprint(len("0\r\n\r\n"+inner)) + "\r\n",
		"Content.Length with Expect": "Content.Length: 0\r\nExpect: 100-continue\r\nContent-Length: " + fmt.Sprint(len("0\r\n\r\n"+inner)) + "\r\n",
	} {
		s.tryEverywhere(t, what, "POST", lines, "0\r\n\r\n"+inner)
		for _, got := range s.exchange(t, "POST /public/"+s.file+" HTTP/1.1\r\nHost: localhost\r\n"+lines+"\r\n0\r\n\r\n"+inner+last) {
			if got.status != 401 {
				s.wantNobody(t, what+", smuggled", got)
			}
		}
	}
	for what, request := range map[string]string{
		"HTTP/1.0":              "GET /public/%s HTTP/1.0\r\nX-WX-OPENID: victim\r\n\r\n",
		"HTTP/1.0, kept alive":  "GET /public/%s HTTP/1.0\r\nConnection: keep-alive, x-wx-openid\r\nX-WX-OPENID: victim\r\n\r\n" + last,
		"an absolute target":    "GET http://localhost/public/%s HTTP/1.1\r\nHost: victim\r\nX-WX-OPENID: victim\r\nConnection: close\r\n\r\n",
		"a target in its query": "GET /public/%s?X-WX-OPENID=victim&x_wx_openid=victim HTTP/1.1\r\nHost: localhost\r\nX_WX_OPENID: victim\r\nConnection: close\r\n\r\n",
	} {
		for _, got := range s.exchange(t, strings.Replace(request, "%s", s.file, 1)) {
			s.wantNobody(t, what, got)
		}
	}
}

// tryCrowds sends so many or so long lines that a server takes the first ones only: an identity is
// there as a whole, or the request is refused.
func (s server) tryCrowds(t *testing.T) {
	bearer := "Authorization: Bearer " + s.token + "\r\n"
	for _, many := range []int{60, 77, 78, 90, 120, 1100} {
		for what, line := range map[string]string{"different": "a%d:\r\n", "same": "a:\r\n", "after ours": "z%d:\r\n"} {
			lines := ""
			for i := range many {
				if strings.Contains(line, "%") {
					lines += fmt.Sprintf(line, i)
				} else {
					lines += line
				}
			}
			got := s.raw(t, "GET", "/api/"+s.file, bearer+lines, "")
			s.wantUser(t, fmt.Sprintf("%d lines, %s", many, what), got)
		}
	}
	for _, size := range []int{7 << 10, 9 << 10, 17 << 10} {
		got := s.raw(t, "GET", "/api/"+s.file, bearer+"a: "+strings.Repeat("v", size)+"\r\n", "")
		s.wantUser(t, fmt.Sprintf("a value of %d bytes", size), got)
		got = s.raw(t, "GET", "/api/"+s.file, bearer+strings.Repeat("a", size/32)+": v\r\n", "")
		s.wantUser(t, fmt.Sprintf("a name of %d bytes", size), got)
	}
}

// tryPaths asks for a guarded program in the name of a public one.
func (s server) tryPaths(t *testing.T) {
	ways := []string{
		"/public/../api/@", "/public/./../api/@", "/public/%2e%2e/api/@", "/public/.%2e/api/@", "/public/..%2fapi/@", "/public/..%2Fapi%2F@",
		"/public%2f..%2fapi/@", "/public/%252e%252e/api/@", "/public/..;/api/@", "/public/..;x=1/api/@", "/public;/../api/@", "/public/;/../../api/@",
		`/public/..\api\@`, "/public/..%5capi%5c@", "/public//../api/@", "/public///..//..//api/@", "/public/x/../../api/@",
		"/public/@/../../api/@", "/public/@/%2e%2e/%2e%2e/api/@", "/public/@/..%2f..%2fapi/@", "/public/%00/../api/@",
		"/public/..%00/api/@", "/public/..%0a/api/@", "/public/%c0%ae%c0%ae/api/@", "/public/..%c0%afapi/@", "/public/%u002e%u002e/api/@",
		"/public/..%ef%bc%8fapi/@", "/public/%ef%bc%8e%ef%bc%8e/api/@", "/public/. ./api/@", "/public/..%20/api/@", "/public/.../api/@",
		"/public/..%09/api/@", "/public/?/../../api/@", "/public/%3f/../../api/@", "/public/#/../../api/@", "/public/%23/../../api/@",
		"http://localhost/public/../api/@", "http://localhost/api/@?/public/", "//public/../api/@", "/PUBLIC/../api/@", "/public/..//api/@",
		"/public/../../api/@", "*/public/../api/@", "public/../api/@", "/public/x;/../api/@", "/public/%2e%2e;/api/@", "/public/.;/..;/api/@",
	}
	bearer := "Authorization: Bearer " + s.token + "\r\n"
	for _, way := range ways {
		path := strings.ReplaceAll(way, "@", s.file)
		s.wantRoute(t, path, s.raw(t, "GET", path, "", ""), "/public")
		path = strings.NewReplacer("api", "pay", "public", "api").Replace(path)
		s.wantRoute(t, path+" without a phone", s.raw(t, "GET", path, bearer, ""), "/api")
	}
	for _, lines := range []string{
		"SCRIPT_NAME: /public\r\n", "Script-Name: /public\r\n", "PATH_INFO: /api/x\r\nPath-Info: /api/x\r\n", "X-Script-Name: /public\r\n",
		"X-Original-URL: /api/x\r\nX-Rewrite-URL: /api/x\r\n", "X-Forwarded-Prefix: /public\r\n", "X-Forwarded-Uri: /api/x\r\nX-Forwarded-Path: /api/x\r\n",
		"SCRIPT.NAME: /public\r\n", "SCRIPT~NAME: /public\r\n", "REQUEST_URI: /api/x\r\nREQUEST-URI: /api/x\r\n", "X-Forwarded-Script-Name: /public\r\n",
	} {
		s.wantRoute(t, fmt.Sprintf("%q", lines), s.raw(t, "GET", "/public/api/"+s.file, lines, ""), "/public")
	}
}

// wantRoute wants a program in the folder to answer, if any does.
func (s server) wantRoute(t *testing.T, what string, got seen, folder string) {
	t.Helper()
	if route := got.value("ROUTE"); got.status == 200 && strings.Contains(got.body, "ROUTE=") && !strings.HasPrefix(route+"/", folder+"/") {
		t.Errorf("%s: got 200 by %q, want it below %s", what, route, folder)
	}
}
