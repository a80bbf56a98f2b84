// Access for the tests of this package.

package wechat

import "net/http"

// WithTransport returns c with a transport in place of the network.
func (c Config) WithTransport(t http.RoundTripper) Config {
	c.transport = t
	return c
}

// PushSignature returns the signature of a push.
func PushSignature(parts ...string) string { return pushSignature(parts...) }

// OpenPushFrame decrypts with a key that belongs to no receiver.
func OpenPushFrame(key, encrypted string) (message []byte, appID string, ok bool) {
	k, err := newPushKey(key)
	if err != nil {
		return nil, "", false
	}
	return k.open(encrypted)
}

// ReadPush reads a message.
func ReadPush(text []byte) (Push, error) { return readPush(text) }
