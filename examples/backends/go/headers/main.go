// 相信 Caddy 给的请求头。只监听 127.0.0.1，别人就没法绕过 Caddy 来伪造。
// Trusts the headers that Caddy sets. It listens on 127.0.0.1, so that nobody can send them past
// Caddy.
//
//	go run ./headers
package main

import (
	"cmp"
	"encoding/json"
	"log"
	"net/http"
	"os"
)

func me(w http.ResponseWriter, r *http.Request) {
	openID := r.Header.Get("X-WX-OPENID")
	if openID == "" { // public 路径，或匿名 / a public path, or anonymous
		http.Error(w, `{"error":"no_user"}`, http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"openid": openID, "appid": r.Header.Get("X-WX-APPID"), "phone": r.Header.Get("X-WX-PHONE"),
	})
}

func main() {
	http.HandleFunc("GET /me", me)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000"), nil))
}
