// Access for the tests of this package.

package wechat

import "net/http"

// WithTransport returns c with a transport in place of the network.
func (c Config) WithTransport(t http.RoundTripper) Config {
	c.transport = t
	return c
}
