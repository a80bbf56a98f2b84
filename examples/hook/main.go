// A hook for wechat_auth: admits the users on a list, with a role. The list is read at each
// question, so a role that changes, or somebody who is taken off, counts from the next refresh on.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

// staff reads a JSON object of phones and roles, such as {"13800138000": "admin"}.
func staff() (roles map[string]string, err error) {
	text, err := os.ReadFile(os.Getenv("HOOK_STAFF"))
	if err == nil {
		err = json.Unmarshal(text, &roles)
	}
	return roles, err
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	mac := hmac.New(sha256.New, []byte(os.Getenv("HOOK_SECRET")))
	mac.Write(body)
	if !hmac.Equal([]byte("sha256="+hex.EncodeToString(mac.Sum(nil))), []byte(r.Header.Get("X-Signature"))) {
		http.Error(w, "not from Caddy", http.StatusUnauthorized)
		return
	}
	var event struct{ Event, OpenID, Phone string } // login, phone or refresh
	if err := json.Unmarshal(body, &event); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	roles, err := staff()
	if err != nil { // not a "no": on_error decides, and nobody is logged out
		http.Error(w, "the list can't be read", http.StatusServiceUnavailable)
		return
	}
	verdict := map[string]any{"allow": true}
	if event.Phone != "" { // a login before the phone is known passes, without a role
		role, known := roles[event.Phone]
		verdict = map[string]any{"allow": known, "reason": "only staff", "claims": map[string]string{"role": role}}
	}
	_ = json.NewEncoder(w).Encode(verdict)
}

func main() {
	http.HandleFunc("POST /wechat-hook", answer)
	server := &http.Server{Addr: os.Getenv("HOOK_ADDRESS"), ReadTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
