package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/bench/internal/report"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// slowWeChat is how long the real one may take.
const slowWeChat = 50 * time.Millisecond

// slowConnections is how many users wait for a slow WeChat at once: the default of max_in_flight.
const slowConnections = 256

// measureOperations starts a new Caddy for each store and round, so that none has more sessions than others.
func (b *bench) measureOperations(ctx context.Context) ([]report.Operation, error) {
	if !slices.ContainsFunc(slices.Collect(maps.Keys(operationNames)), b.only.MatchString) {
		return nil, nil
	}
	samples := map[report.Operation][]report.Operation{} // what it is → what was measured, by round
	var order []report.Operation
	for round := range b.rounds {
		fmt.Fprintf(os.Stderr, "operations, round %d of %d\n", round+1, b.rounds)
		var request time.Duration // the CPU of a proxied request
		for _, delay := range []time.Duration{0, slowWeChat} {
			for _, store := range []string{"sqlite", "memory", "redis"} {
				done, err := b.measureStore(ctx, store, delay, round)
				if err != nil {
					return nil, fmt.Errorf("%s, WeChat in %v: %w", store, delay, err)
				}
				for _, o := range done {
					if o.Name == "request" {
						request = o.CPU
					}
				}
				for _, o := range done {
					key := report.Operation{Name: o.Name, Store: o.Store, Delay: o.Delay, Connections: o.Connections}
					if samples[key] == nil {
						order = append(order, key)
					}
					if request > 0 {
						o.Ratio = float64(o.CPU) / float64(request)
					}
					samples[key] = append(samples[key], o)
				}
			}
		}
	}
	for i, key := range order {
		order[i] = median(samples[key])
	}
	return order, nil
}

// median has the median of each number by itself.
func median(rounds []report.Operation) report.Operation {
	m := rounds[0]
	m.PerSecond, m.Ratio = middle(rounds, func(o report.Operation) float64 { return o.PerSecond }), middle(rounds, func(o report.Operation) float64 { return o.Ratio })
	m.P50, m.P99 = middle(rounds, func(o report.Operation) time.Duration { return o.P50 }), middle(rounds, func(o report.Operation) time.Duration { return o.P99 })
	m.CPU, m.RedisCPU = middle(rounds, func(o report.Operation) time.Duration { return o.CPU }), middle(rounds, func(o report.Operation) time.Duration { return o.RedisCPU })
	return m
}

func middle[T float64 | time.Duration](rounds []report.Operation, of func(report.Operation) T) T {
	var values []T
	for _, o := range rounds {
		values = append(values, of(o))
	}
	return report.Median(values)
}

// backend is a Caddy with a store, the fake WeChat that it asks, and clients of both.
type backend struct {
	b       *bench
	store   string
	delay   time.Duration
	clients int
	http    *http.Client
	fake    *wechattest.Server
	caddy   *lab.Process
	redis   []*lab.Process // one or none

	mu    sync.Mutex // guards users while they log in
	users []*loggedIn
}

// loggedIn is a user with what the login gave.
type loggedIn struct {
	*wechattest.User
	lab.Tokens
}

func (b *bench) measureStore(ctx context.Context, store string, delay time.Duration, round int) ([]report.Operation, error) {
	s := &backend{b: b, store: store, delay: delay, clients: b.connections}
	s.fake = wechattest.New(wechattest.App{ID: lab.AppID, Secret: lab.Secret, OpenPlatform: true})
	s.fake.KeepCalls(0)
	s.fake.KeepCodes(100_000)
	defer s.fake.Close()
	if delay > 0 {
		s.fake.Fail(wechattest.Any, -1, wechattest.Delay(delay)) //nolint:contextcheck // it heeds the context of the call
		s.clients = slowConnections
	}
	url, stop := serve(s.fake)
	defer stop()
	s.http = lab.NewClient(s.clients)
	defer s.http.CloseIdleConnections()

	addr := ""
	if store == "redis" {
		redis, err := b.lab.StartRedis(ctx)
		if err != nil {
			return nil, err
		}
		defer redis.Stop()
		addr, s.redis = redis.Addr, []*lab.Process{redis}
		b.noteRedis()
	}
	var err error
	name := fmt.Sprintf("%s-%v-%d", store, delay, round)
	if s.caddy, err = b.startGuarded(ctx, "ES256", "api "+url, b.storeLine(store, name, addr)); err != nil {
		return nil, err
	}
	defer s.caddy.Stop()
	return s.run(ctx)
}

// noteRedis notes that the version of Redis matters, once.
func (b *bench) noteRedis() {
	for _, p := range b.programs {
		if p[1] == "--version" {
			return
		}
	}
	_, _ = b.find("redis-server", "redis-server", "--version") // it runs already
}

// run measures one operation after the other; the users who log in are those who do the rest.
func (s *backend) run(ctx context.Context) (done []report.Operation, err error) {
	steps := []struct {
		name string
		when bool
		send func(client, turn int) error
	}{
		{"login", true, func(int, int) error { return s.login(ctx) }},
		{"phone", true, func(client, turn int) error { return s.phone(ctx, s.user(client, turn)) }},
		{"refresh", s.delay == 0, func(client, turn int) error { return s.refresh(ctx, s.user(client, turn)) }},
		{"request", s.delay == 0 && s.store == "sqlite", func(client, turn int) error {
			return lab.Get(ctx, s.http, s.caddy.Addr, requestPath, s.user(client, turn).Access)
		}},
	}
	if err := s.login(ctx); err != nil { // the first finds connections to be made, and an access token to be fetched
		return nil, err
	}
	if err := s.phone(ctx, s.users[0]); err != nil {
		return nil, err
	}
	s.users = nil
	for _, step := range steps {
		if !step.when || !s.b.only.MatchString(step.name) && step.name != "login" {
			continue
		}
		o, err := s.measure(ctx, step.name, step.send)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
		done = append(done, o)
		if len(s.users) < s.clients {
			return nil, fmt.Errorf("only %d users logged in: each of %d clients needs one for the rest", len(s.users), s.clients)
		}
	}
	return done, nil
}

func (s *backend) measure(ctx context.Context, name string, send func(client, turn int) error) (o report.Operation, err error) {
	before, err := lab.CPU(s.caddy)
	if err != nil {
		return o, err
	}
	redisBefore, err := lab.CPU(s.redis...)
	if err != nil {
		return o, err
	}
	limit := 1 << 30
	if name == "login" || name == "phone" { // both leave something in the store
		limit = s.b.logins
	}
	turns := make([]int, s.clients)
	load, err := lab.ClosedLoop(ctx, s.clients, s.b.duration, limit, func(client int) error {
		turns[client]++
		return send(client, turns[client]-1)
	})
	if err != nil {
		return o, err
	}
	after, err := lab.CPU(s.caddy)
	if err != nil {
		return o, err
	}
	redisAfter, err := lab.CPU(s.redis...)
	each := time.Duration(load.Requests)
	return report.Operation{
		Name: name, Store: s.store, Delay: s.delay, Connections: s.clients,
		PerSecond: load.PerSecond(), P50: load.Percentile(50), P99: load.Percentile(99),
		CPU: (after - before) / each, RedisCPU: (redisAfter - redisBefore) / each,
	}, err
}

// user returns the next of the users that only this client acts for.
func (s *backend) user(client, turn int) *loggedIn {
	return s.users[turn%(len(s.users)/s.clients)*s.clients+client]
}

// login is that of a user who was never seen before.
func (s *backend) login(ctx context.Context) error {
	u := s.fake.NewUser(lab.AppID)
	got, err := lab.Post(ctx, s.http, s.caddy.Addr, "/auth/login", "", map[string]string{"code": s.fake.LoginCode(u)})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, &loggedIn{u, got})
	return nil
}

var phones atomic.Int64

func (s *backend) phone(ctx context.Context, u *loggedIn) error {
	code := s.fake.PhoneCode(u.User, fmt.Sprintf("138%08d", phones.Add(1)%1e8))
	_, err := lab.Post(ctx, s.http, s.caddy.Addr, "/auth/phone", u.Access, map[string]string{"code": code})
	return err
}

func (s *backend) refresh(ctx context.Context, u *loggedIn) error {
	got, err := lab.Post(ctx, s.http, s.caddy.Addr, "/auth/refresh", "", map[string]string{"refresh_token": u.Refresh})
	u.Tokens = got
	return err
}
