// The published keys, discovery, and the guard for other servers.

package sidecar

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// published answers the routes by which others verify tokens.
type published struct {
	apps     Apps
	tokens   *tokens
	auth     *authenticator
	identity *identity
	hook     *Hook
	base     string
	alg      string
}

// jwks publishes the keys that verify this site's tokens.
func (k *published) jwks(w http.ResponseWriter, _ *http.Request) error {
	ring, err := k.tokens.keys.get()
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(k.tokens.keys.maxAge().Seconds())))
	writeBytes(w, http.StatusOK, ring.JWKS())
	return nil
}

// verify is the guard alone, for nginx's auth_request, Traefik's forwardAuth and Envoy's ext_authz:
// it answers 204 with the identity headers. It reads no path from headers, for a client can send
// them too; which paths need it is decided in the server that asks.
//
// A refusal has its code in X-Auth-Error, too: nginx drops the body.
func (k *published) verify(w http.ResponseWriter, r *http.Request) error {
	claims, err := k.verified(r)
	if err != nil {
		w.Header().Set("X-Auth-Error", asError(err).Code)
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	k.identity.set(w.Header(), claims)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (k *published) verified(r *http.Request) (*jwt.Claims, error) {
	claims, err := k.auth.authenticate(r)
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	// What was not read could have asked for a phone, unless the query is that of the client, as
	// with Envoy.
	if err != nil && !strings.HasPrefix(r.URL.Path, k.base+"/verify/") {
		return nil, invalidRequest("the query can't be read")
	}
	if slices.Contains(query["phone"], "required") && claims.Phone == "" {
		return nil, errPhoneRequired
	}
	return claims, nil
}

// discoverable tells whether the issuer is where this site can be found, as OpenID Connect
// Discovery wants it: an https URL that ends in the base path.
func (k *published) discoverable() bool {
	u, err := url.Parse(k.tokens.issuer.Name)
	return err == nil && u.Scheme == "https" && u.Host != "" && strings.HasSuffix(u.Path, k.base)
}

// discovery tells libraries where the keys are. There is no authorization endpoint: users log in
// with wx.login.
func (k *published) discovery(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                k.tokens.issuer.Name,
		"jwks_uri":                              k.tokens.issuer.Name + "/.well-known/jwks.json",
		"response_types_supported":              []string{"none"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{k.alg},
		"claims_supported":                      k.tokens.issuer.ClaimNames(),
	})
	return nil
}
