// The keys that sign calls to WeChat.

package wechatauth

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// provision returns the keys that sign WeChat calls, and what they depend on; nil for none.
func (s *Signing) provision(repl *caddy.Replacer) (*wechat.Signing, any, error) {
	if s == nil {
		return nil, nil, nil
	}
	if s.Key == (SigningKey{}) || s.PrivateKey == (SigningKey{}) || len(s.PlatformCertificates) == 0 {
		return nil, nil, errors.New("it takes a key, a private_key and a platform_certificate: WeChat's console has all three")
	}
	key, err := resolve(repl, "key", s.Key.Value)
	if err != nil {
		return nil, nil, err
	}
	private, err := readPEM(repl, s.PrivateKey.Value)
	if err != nil {
		return nil, nil, fmt.Errorf("private_key: %w", err)
	}
	certificates := make(map[string][]byte, len(s.PlatformCertificates))
	for _, c := range s.PlatformCertificates {
		if certificates[c.Serial] != nil {
			return nil, nil, fmt.Errorf("platform_certificate %s is configured twice", c.Serial)
		}
		if certificates[c.Serial], err = readPEM(repl, c.Value); err != nil {
			return nil, nil, fmt.Errorf("platform_certificate %s: %w", c.Serial, err)
		}
	}
	signing, err := wechat.NewSigning(s.Key.Serial, key, s.PrivateKey.Serial, private, certificates)
	return signing, []any{s.Key.Serial, key, s.PrivateKey.Serial, private, certificates}, err
}
