package wechatauth

import (
	"sync"

	"github.com/caddy-wechat/wechatauth/session"
)

// lease keeps a shared part open while requests and exchanges with WeChat use it. Caddy does not wait for
// them when it puts a new configuration in place, and a login that waits for WeChat meanwhile must be
// written down.
type lease struct {
	close func() // what the last user does after the last handler gave the part back

	mu    sync.Mutex // guards what follows
	users int
	ended bool
}

// enter keeps the part open until leave is called.
func (l *lease) enter() (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, session.ErrClosed
	}
	l.users++
	return l.leave, nil
}

func (l *lease) leave() {
	l.mu.Lock()
	l.users--
	last := l.ended && l.users == 0
	l.mu.Unlock()
	if last {
		l.close()
	}
}

// Destruct implements caddy.Destructor.
func (l *lease) Destruct() error {
	l.mu.Lock()
	l.ended = true
	idle := l.users == 0
	l.mu.Unlock()
	if idle {
		l.close()
	}
	return nil
}
