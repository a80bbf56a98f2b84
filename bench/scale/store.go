package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	bolt "go.etcd.io/bbolt"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/session"
)

// policy is the default one.
var policy = session.Policy{
	Idle: 30 * 24 * time.Hour, Lifetime: 180 * 24 * time.Hour, Grace: 30 * time.Second,
	MaxPerUser: 20, TokenTTL: time.Hour,
}

// store is a place to fill, and to start Caddy on.
type store struct {
	kind  string
	file  string       // of bolt
	redis *lab.Process // of redis
	line  string       // of the Caddyfile
}

func (b *bench) newStore(ctx context.Context, kind, name string) (*store, error) {
	if kind == "bolt" {
		file := filepath.Join(b.lab.Dir, name+".db")
		return &store{kind: kind, file: file, line: "store bolt " + file}, nil
	}
	server, err := b.lab.StartRedis(ctx)
	if err != nil {
		return nil, err
	}
	return &store{kind: kind, redis: server, line: "store redis redis://" + server.Addr}, nil
}

// open opens the store for this process. A bolt file belongs to one process at a time.
func (s *store) open() (session.Store, error) {
	if s.kind == "bolt" {
		return session.OpenBolt(s.file, session.BoltOptions{})
	}
	return session.NewRedis(session.RedisConfig{URLs: []string{"redis://" + s.redis.Addr}})
}

// remove ends the server, or removes the file and what belongs to it: the next store needs the room.
func (s *store) remove() {
	if s.redis != nil {
		s.redis.Stop()
		return
	}
	files, _ := filepath.Glob(s.file + "*")
	for _, file := range files {
		_ = os.Remove(file)
	}
}

// size is the bytes of the file and of those beside it, or Redis' memory.
func (s *store) size(ctx context.Context) (sum int64, err error) {
	if s.kind == "redis" {
		return s.usedMemory(ctx)
	}
	files, err := filepath.Glob(s.file + "*")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}

// records counts what is in a bolt file. Nobody else may have it open meanwhile.
func (s *store) records() (n int64, err error) {
	db, err := bolt.Open(s.file, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			n += int64(b.Stats().KeyN)
			return nil
		})
	})
	return n, err
}

func (s *store) usedMemory(ctx context.Context) (n int64, err error) {
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr, Protocol: 2, DisableIdentity: true})
	defer client.Close()
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(text, "used_memory:")
	if !ok {
		return 0, errors.New("redis does not tell its memory")
	}
	_, err = fmt.Sscanf(rest, "%d", &n)
	return n, err
}

// fillers is how many logins are under way at once: stores write many in one go.
const fillers = 256

// fill logs users in, each of them once, at a time, and returns their refresh tokens.
func (s *store) fill(ctx context.Context, users, first int, at time.Time) ([]session.RefreshToken, error) {
	opened, err := s.open()
	if err != nil {
		return nil, err
	}
	tokens := make([]session.RefreshToken, users)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := new(atomic.Int64)
	for range fillers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= users {
					return
				}
				id := session.UserID{AppID: lab.AppID, OpenID: fmt.Sprintf("oScale-0123456789_0%09d", first+i)}
				made, token := session.New(id, at)
				tokens[i] = token
				err := opened.Login(ctx, session.Login{Session: made, Policy: policy, Learned: session.User{
					UserID: id, UnionID: "oUnion-0123456789_0123456789", FirstSeen: at,
					Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: at,
				}})
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		_ = opened.Close()
		return nil, context.Cause(ctx)
	}
	return tokens, opened.Close()
}
