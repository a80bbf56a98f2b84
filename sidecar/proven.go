// Taps that WeChat has answered, and whose requests failed after that.

package sidecar

import (
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// provenLife is the time for which a number is kept whose request failed: as long as WeChat would
// take the code.
const provenLife = 5 * time.Minute

// maxProven bounds the numbers that are kept in memory.
const maxProven = 10_000

// provenPhones are the numbers of taps whose requests are not answered so far. A tap was paid for,
// and WeChat takes its code once: when the store fails between its answer and ours, the client's
// next try must not ask WeChat again. They are in memory, for it is the store that fails.
type provenPhones struct {
	mu  sync.Mutex // guards what follows
	all map[session.Digest]provenPhone
}

type provenPhone struct {
	user  session.User
	until time.Time
	end   *time.Timer
}

// keep keeps a number for its time, and not in memory after that: nothing else might ever remove it.
func (p *provenPhones) keep(key session.Digest, user session.User, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[session.Digest]provenPhone{}
	}
	p.remove(key)
	if len(p.all) < maxProven {
		p.all[key] = provenPhone{user, now.Add(provenLife), time.AfterFunc(provenLife, func() { p.drop(key) })}
	}
}

// get returns what is kept, nil if there is nothing.
func (p *provenPhones) get(key session.Digest, now time.Time) *session.User {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, ok := p.all[key]
	if !ok || now.After(kept.until) {
		return nil
	}
	return &kept.user
}

func (p *provenPhones) drop(key session.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(key)
}

func (p *provenPhones) remove(key session.Digest) {
	if kept, ok := p.all[key]; ok {
		kept.end.Stop()
		delete(p.all, key)
	}
}
