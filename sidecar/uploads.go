// Bounds on the forms that are under way.

package sidecar

import (
	"sync"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// uploadMemory bounds the memory of all forms under way together.
	uploadMemory = 128 << 20

	// uploadsPerUser keeps a few users from holding all of it: a client may take its time.
	uploadsPerUser = 2
)

// uploading are the forms of all sites, for it is the process that runs out of memory.
var uploading = uploads{users: map[uploader]int{}}

type uploads struct {
	mu    sync.Mutex // guards what follows
	bytes int64
	users map[uploader]int
}

// uploader is a user of a store.
type uploader struct {
	store string
	user  session.UserID
}

// begin admits a form that keeps so many bytes, until end is called.
func (u *uploads) begin(by uploader, bytes int64) (end func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.users[by] == uploadsPerUser || u.bytes+bytes > uploadMemory {
		return nil, errRateLimited
	}
	u.users[by]++
	u.bytes += bytes
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.bytes -= bytes
		if u.users[by]--; u.users[by] == 0 {
			delete(u.users, by)
		}
	}, nil
}
