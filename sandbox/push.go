// The message push of the sandbox: what WeChat would send to the address in the console.

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// Push is the message push of an app, as its console has it.
type Push struct {
	// The AppID. Default: the only app.
	AppID string `json:"appid,omitempty"`

	// The address, such as `http://localhost:8080/auth/push/wx0123456789abcdef`. It
	// must lead to a loopback, link-local or private address.
	URL string `json:"url,omitempty"`

	// The Token.
	Token string `json:"token,omitempty"`

	// The EncodingAESKey: 43 letters and digits.
	AESKey string `json:"aes_key,omitempty"`

	// `secure`, `compatible` or `plain`. Default: `secure`.
	Mode string `json:"mode,omitempty"`

	// `json` or `xml`. Default: `json`.
	Format string `json:"format,omitempty"`
}

var (
	pushModes   = map[string]string{"": wechattest.SecurePush, "secure": wechattest.SecurePush, "compatible": wechattest.CompatiblePush, "plain": wechattest.PlainPush}
	pushFormats = map[string]bool{"": false, "json": false, "xml": true} // whether it is XML
)

const (
	// pushTime bounds all tries of a push: WeChat gives each five seconds.
	pushTime = 20 * time.Second

	maxWords = 2048 // bytes of a message
)

var errNotLocal = errors.New("the sandbox pushes to loopback and private addresses only")

// pushClient sends pushes to this machine and its network. A name that leads elsewhere is refused
// when it is dialed, and so is where a redirect leads: there is none.
var pushClient = &http.Client{
	Transport: &http.Transport{
		IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
			if !localPeer(address) {
				return errNotLocal
			}
			return nil
		}}).DialContext,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// resolvePushes checks the pushes and replaces their placeholders.
func (h *Handler) resolvePushes(apps []App) error {
	repl := caddy.NewReplacer()
	h.consoles = make(map[string]wechattest.PushConsole, len(h.Pushes))
	for i, p := range h.Pushes {
		for _, value := range []*string{&p.AppID, &p.URL, &p.Token, &p.AESKey} { // p is a copy
			var err error
			if *value, err = repl.ReplaceOrErr(*value, true, true); err != nil {
				return fmt.Errorf("push %d: %w", i+1, err)
			}
		}
		if p.AppID == "" && len(apps) == 1 {
			p.AppID = apps[0].AppID
		}
		if err := p.check(apps); err != nil {
			return fmt.Errorf("push %d: %w", i+1, err)
		}
		if _, ok := h.consoles[p.AppID]; ok {
			return fmt.Errorf("push %d: app %s has a push already", i+1, p.AppID)
		}
		h.consoles[p.AppID] = wechattest.PushConsole{
			AppID: p.AppID, URL: p.URL, Token: p.Token, AESKey: p.AESKey, Mode: pushModes[p.Mode], XML: pushFormats[p.Format], Client: pushClient,
		}
	}
	return nil
}

func (p Push) check(apps []App) error {
	known := false
	for _, a := range apps {
		known = known || a.AppID == p.AppID
	}
	u, err := url.Parse(p.URL)
	switch {
	case !known:
		return errors.New("write the app it is of: app <appid>")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("write the address that takes it, such as http://localhost:8080/auth/push/" + p.AppID)
	case p.Token == "" || !wechattest.ValidPushKey(p.AESKey):
		return errors.New("write token <token> and aes_key <43 letters and digits>")
	}
	if _, ok := pushModes[p.Mode]; !ok {
		return errors.New("mode must be secure, compatible or plain")
	}
	if _, ok := pushFormats[p.Format]; !ok {
		return errors.New("format must be json or xml")
	}
	return nil
}

// postPush pushes an event or a message of a user, as often as WeChat would.
func (h *Handler) postPush(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User       string `json:"user"`
		AppID      string `json:"appid"`
		Event      string `json:"event"`
		RevokeInfo string `json:"revoke_info"`
		Message    string `json:"message"`
	}
	if !read(w, r, &in) {
		return
	}
	if (in.Event == "") == (in.Message == "") || len(in.Event) > maxName || len(in.RevokeInfo) > maxName || len(in.Message) > maxWords {
		invalid(w, `write an event, such as "user_authorization_revoke" with revoke_info "8", or a message of the user`)
		return
	}
	u, err := h.user(in.User, in.AppID)
	if err != nil {
		fail(w, err)
		return
	}
	console, ok := h.consoles[u.AppID]
	if !ok {
		invalid(w, "the app has no push: write push <url> with token and aes_key in wechat_sandbox")
		return
	}
	fake := h.state.fake
	message := fake.TextMessage(u, in.Message)
	if in.Event != "" {
		message = fake.AuthorizationEvent(u, in.Event, in.RevokeInfo)
	}
	ctx, cancel := context.WithTimeout(r.Context(), pushTime)
	defer cancel()
	tries, err := fake.Push(ctx, console, message)
	h.state.notePush(console.URL, message, err)
	if err != nil {
		writeError(w, http.StatusBadGateway, "push_failed", err.Error())
		return
	}
	write(w, http.StatusOK, struct {
		Tries int `json:"tries"`
	}{tries})
}

func (h *Handler) unmarshalPush(d *caddyfile.Dispenser) error {
	var p Push
	if !d.AllArgs(&p.URL) {
		return d.Err("push takes the address that gets the messages, and a block with token and aes_key")
	}
	options := map[string]*string{"app": &p.AppID, "token": &p.Token, "aes_key": &p.AESKey, "mode": &p.Mode, "format": &p.Format}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		into, ok := options[name]
		if !ok {
			return d.Errf("unrecognized subdirective of push: %s (want app, token, aes_key, mode or format)", name)
		}
		if *into != "" {
			return d.Errf("%s already specified", name)
		}
		if !d.AllArgs(into) {
			return d.ArgErr()
		}
	}
	h.Pushes = append(h.Pushes, p)
	return nil
}
