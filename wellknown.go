package wechatauth

import "net/http"

// jwks publishes the keys that verify this site's tokens.
func (h *Handler) jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeBytes(w, http.StatusOK, h.verifier.Ring.JWKS())
	return nil
}

// verify is the guard alone, for nginx's auth_request, Traefik's forwardAuth and Envoy's ext_authz: it
// answers 204 with the identity headers. It reads no path from headers, for a client can send them too;
// which paths need it is decided in the server that asks.
func (h *Handler) verify(w http.ResponseWriter, r *http.Request) error {
	claims, err := h.authenticate(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("phone") == "required" && claims.Phone == "" {
		return errPhoneRequired
	}
	w.Header().Set("Cache-Control", "no-store")
	h.identity.set(w.Header(), claims)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
