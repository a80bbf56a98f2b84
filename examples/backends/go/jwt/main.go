// 不相信请求头，自己校验 JWT。公钥从 Caddy 取，换密钥不用重启。
// Verifies the JWT instead of trusting headers. The public keys come from Caddy; a new one needs no
// restart.
//
//	AUDIENCE=wx0123456789abcdef JWKS_URL=http://localhost:8080/auth/.well-known/jwks.json go run ./jwt
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

func main() {
	keys, err := keyfunc.NewDefaultOverrideCtx(context.Background(), []string{os.Getenv("JWKS_URL")}, keyfunc.Override{
		RefreshInterval: 5 * time.Minute, RateLimitWaitMax: time.Second,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(5*time.Second), 1), // 不认识的 kid，至多 5 秒问一次 / for an unknown kid
	})
	if err != nil {
		log.Fatal(err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("wechat_auth"),
		jwt.WithAudience(strings.Split(os.Getenv("AUDIENCE"), ",")...), // 几个小程序就写几个 AppID / one for each mini program
		jwt.WithExpirationRequired(), jwt.WithLeeway(30*time.Second))   // 两台机器的时钟总有差别 / clocks differ
	http.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		user, token := jwt.MapClaims{}, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		w.Header().Set("Content-Type", "application/json")
		if _, err := parser.ParseWithClaims(token, user, keys.Keyfunc); err != nil || user["openid"] == nil {
			http.Error(w, `{"error":"token_invalid"}`, http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"openid": user["openid"], "appid": user["appid"], "phone": user["phone"]})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000"), nil))
}
