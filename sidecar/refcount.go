// Counting of the users of a shared part.

package sidecar

import (
	"sync"

	"github.com/caddy-wechat/wechatauth/session"
)

// refCount keeps a shared part open while requests and exchanges with WeChat use it. A server does
// not wait for them when it puts a new configuration in place, and a login that waits for WeChat
// meanwhile must be written down.
type refCount struct {
	onLast func() // called when the part is closed and unused

	mu     sync.Mutex // guards what follows
	users  int
	closed bool
}

// retain keeps the part open until release is called.
func (c *refCount) retain() (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, session.ErrClosed
	}
	c.users++
	return c.release, nil
}

func (c *refCount) release() {
	c.mu.Lock()
	c.users--
	last := c.closed && c.users == 0
	c.mu.Unlock()
	if last {
		c.onLast()
	}
}

// Close closes the part, as soon as it is unused.
func (c *refCount) Close() error {
	c.mu.Lock()
	c.closed = true
	idle := c.users == 0
	c.mu.Unlock()
	if idle {
		c.onLast()
	}
	return nil
}
