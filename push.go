// The message push of a mini program, in a configuration.

package wechatauth

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/sidecar"
	"github.com/caddy-wechat/wechatauth/wechat"
)

// Push takes what WeChat pushes (消息推送) at `push/<appid>` in the base path. In WeChat's console
// choose 安全模式: a push that is not encrypted is refused. When a user takes consent back, the
// phone, nickname or avatar is removed at once; when a WeChat account is cancelled, the user.
type Push struct {
	// The Token of the console's message push. Write it as a placeholder.
	Token string `json:"token,omitempty"`

	// The EncodingAESKey of the console's message push: 43 characters. Write it as a placeholder.
	AESKey string `json:"aes_key,omitempty"`

	// The EncodingAESKey before it, for pushes that are under way when the key is changed. Default:
	// none.
	PreviousAESKey string `json:"previous_aes_key,omitempty"`

	// The backend's path that gets every push as a POST of plain JSON, with `X-WX-SOURCE: wx_push`,
	// `X-WX-APPID` and, where there is a user, `X-WX-OPENID`, through the handlers behind this one.
	// A push that is not answered with 2xx in 4 seconds is kept in the store and sent again, with
	// growing pauses, for a day: at least once, and in order for each user. Default: pushes go no
	// further.
	Forward string `json:"forward,omitempty"`
}

func (a *App) unmarshalPush(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("push takes a block: write token {env.PUSH_TOKEN} and aes_key {env.PUSH_AES_KEY} in it") // what was written may be a secret
	}
	p := new(Push)
	a.Push = p
	err := eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "token":
			return oneArg(d, &p.Token)
		case "aes_key":
			return oneArg(d, &p.AESKey)
		case "previous_aes_key":
			return oneArg(d, &p.PreviousAESKey)
		case "forward":
			return oneArg(d, &p.Forward)
		}
		return d.Err("unrecognized subdirective of push: write token, aes_key, previous_aes_key or forward") // as above
	})
	if err == nil && (p.Token == "" || p.AESKey == "") {
		err = d.Err("push needs both: write token {env.PUSH_TOKEN} and aes_key {env.PUSH_AES_KEY}")
	}
	return err
}

// push resolves the message push of an app.
func (p *provisioner) push(a *App, appID string) (err error) {
	if a.Push == nil {
		return nil
	}
	cfg := sidecar.PushConfig{PushConfig: wechat.PushConfig{AppID: appID}}
	for _, secret := range []struct {
		name, value string
		to          *string
	}{
		{"token", a.Push.Token, &cfg.Token},
		{"aes_key", a.Push.AESKey, &cfg.AESKey},
		{"previous_aes_key", a.Push.PreviousAESKey, &cfg.PreviousKey},
	} {
		if secret.value == "" && secret.to == &cfg.PreviousKey {
			continue
		}
		if secret.value == "" {
			return errors.New("write token {env.PUSH_TOKEN} and aes_key {env.PUSH_AES_KEY}")
		}
		if *secret.to, err = resolve(p.repl, secret.name, secret.value); err != nil {
			return err
		}
	}
	if err := cfg.Check(); err != nil {
		return err
	}
	if a.Push.Forward != "" {
		if cfg.Forward, err = resolve(p.repl, "forward", a.Push.Forward); err != nil {
			return err
		}
	}
	if p.cfg.Push == nil {
		p.cfg.Push = map[string]sidecar.PushConfig{}
	}
	p.cfg.Push[appID] = cfg
	return nil
}
