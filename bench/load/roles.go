package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
)

// roleArgument is the first argument of this program when it plays a part in its own measurement, so that
// the part is a process whose cost can be told.
const roleArgument = "-role"

// play serves as the upstream or the verifier at an address.
func play(role, addr string, args []string) error {
	server := &http.Server{Addr: addr, ReadHeaderTimeout: time.Minute}
	switch {
	case role == "upstream":
		server.Handler = http.HandlerFunc(serveUpstream)
	case role == "verifier" && len(args) == 2:
		verifier, err := newVerifier(args[0], args[1])
		if err != nil {
			return err
		}
		server.Handler = verifier
	default:
		return fmt.Errorf("there is no role %q", role)
	}
	return server.ListenAndServe()
}

// serveUpstream answers with who the user is, as far as it was told.
func serveUpstream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"openid":%q,"orders":[{"id":1,"state":"paid"},{"id":2,"state":"sent"}]}`, r.Header.Get("X-Wx-Openid"))
}

// newVerifier returns what people write when a proxy asks them whether to let a request through: it
// verifies the token with golang-jwt and answers with the openid.
func newVerifier(algorithm, keyFile string) (http.Handler, error) {
	key, err := verificationKey(algorithm, keyFile)
	if err != nil {
		return nil, err
	}
	parser := gojwt.NewParser(gojwt.WithValidMethods([]string{algorithm}), gojwt.WithExpirationRequired(),
		gojwt.WithIssuer(issuerName), gojwt.WithAudience(lab.AppID))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims := gojwt.MapClaims{}
		_, err := parser.ParseWithClaims(token, claims, func(*gojwt.Token) (any, error) { return key, nil })
		openid, isText := claims["openid"].(string)
		if !ok || err != nil || !isText {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Wx-Openid", openid)
		w.WriteHeader(http.StatusNoContent)
	}), nil
}

func verificationKey(algorithm, file string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(algorithm, "HS") {
		return text, nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key can't sign")
	}
	return signer.Public(), nil
}
