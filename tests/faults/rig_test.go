//go:build linux

// A site with everything it depends on behind proxies that break connections: Redis, WeChat, the hook
// and the backend, and a second node whose ways are whole.

package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	appID         = "wx0123456789abcdef"
	appSecret     = "0123456789abcdef0123456789abcdef"
	hookSecret    = "c2d7f1a09b6e4835c2d7f1a09b6e4835"
	serviceSecret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	sealKey       = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"
	pushToken     = "q8Zr2Kf0Lw5TnB7y"
	pushKey       = "Vb3nQx7ZkP0sTfYw8GhJm2LcRdAe5UiOoN1vXzK4q6R"

	// wechatTime and hookTime are the site's limits for one call.
	wechatTime = 2 * time.Second
	hookTime   = time.Second

	// storeTime is that of the Redis store for one operation.
	storeTime = 2 * time.Second
)

// The links of a site, in the order of the matrix.
var targets = []string{"redis", "wechat", "hook", "backend"}

// rig is a site at work. Node a reaches everything through links, node b its Redis and WeChat without.
type rig struct {
	t       *testing.T
	random  *rand.Rand
	fake    *wechattest.Server
	links   map[string]*link
	backend *backend
	a, b    *node // b is nil where the store is one of a single machine
	secrets *secrets
	target  string // the link that was broken last
}

// newRig starts a site on a store: "redis", "cluster" or "sqlite".
func newRig(t *testing.T, store string, random *rand.Rand) *rig {
	t.Helper()
	r := &rig{
		t: t, random: random, fake: wechattest.New(wechattest.App{ID: appID, Secret: appSecret, OpenPlatform: true}),
		links: map[string]*link{}, secrets: newSecrets(),
	}
	api := strings.TrimPrefix(r.fake.Start(t), "http://")
	r.backend = newBackend(t)
	hook := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow":true,"claims":{"role":"member"}}`)
	}))
	for name, address := range map[string]string{"wechat": api, "hook": hook, "backend": r.backend.address} {
		r.links[name] = newLink(t, name, address)
	}
	storage := "storage file_system " + t.TempDir() + "\n"
	options, mine, others := " {\nseal_key "+sealKey+"\n}", "store sqlite", ""
	switch store {
	case "redis":
		redis := redistest.Start(t)
		r.links["redis"] = newLink(t, "redis", redis.Addr)
		mine, others = "store redis redis://"+r.links["redis"].address()+options, "store redis "+redis.URL+options
	case "cluster":
		mine = "store redis " + r.startCluster() + options
	}
	r.a = startNode(t, r, storage, r.links["wechat"].address(), r.links["backend"].address(), mine)
	if others != "" {
		r.b = startNode(t, r, storage, api, r.backend.address, others)
	}
	return r
}

// startCluster runs a Redis Cluster whose nodes announce the addresses of the proxies before them. So
// there is no other way to it.
func (r *rig) startCluster() (urls string) {
	r.t.Helper()
	cluster := redistest.StartCluster(r.t)
	var addresses []string
	for _, node := range cluster.Nodes {
		addresses = append(addresses, node.Addr)
	}
	r.links["redis"] = newLink(r.t, "redis", addresses...)
	var all []string
	for i, node := range cluster.Nodes {
		address := r.links["redis"].proxies[i].Listen
		_, port, _ := net.SplitHostPort(address)
		node.Do(r.t, "CONFIG", "SET", "cluster-announce-port", port)
		all = append(all, "redis://"+address)
	}
	return strings.Join(all, " ")
}

// other is the node with whole ways, else the only one.
func (r *rig) other() *node {
	if r.b != nil {
		return r.b
	}
	return r.a
}

// site is the Caddyfile's site of a node.
func (r *rig) site(api, receiver, store string) string {
	return strings.Join([]string{
		"wechat_auth {",
		"app " + appID + " " + appSecret + " {\npush {\ntoken " + pushToken + "\naes_key " + pushKey + "\nforward /wechat/push\n}\n}",
		"api http://" + api, "timeout " + wechatTime.String(), "limit login off", "limit phone off", "encrypted_data on",
		"public GET /health", "phone_required /with-phone/*", store,
		"hook http://" + r.links["hook"].address() + "/hook {\nsecret " + hookSecret + "\ntimeout " + hookTime.String() + "\n}",
		"service {\nsecret " + serviceSecret + "\n}", "}",
		"handle /health {\nrespond healthy\n}",
		"handle /wechat/* {\nreverse_proxy " + receiver + "\n}",
		"handle {\nreverse_proxy " + r.backend.address + "\n}", "",
	}, "\n")
}

func serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// backend notes as whom requests come, and takes pushes.
type backend struct {
	address string

	mu     sync.Mutex          // guards what follows
	seen   map[string]string   // by path, the openid
	pushes map[string][]string // by openid, the events and texts
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{seen: map[string]string{}, pushes: map[string][]string{}}
	b.address = serve(t, b)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	openid := r.Header.Get("X-Wx-Openid")
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.URL.Path == "/wechat/push" {
		var message struct{ Content, Event string }
		_ = json.Unmarshal(body, &message)
		if r.Header.Get("X-Wx-Source") == "wx_push" {
			b.pushes[openid] = append(b.pushes[openid], message.Content+message.Event)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.seen[r.URL.Path] = openid
	_, _ = io.WriteString(w, openid)
}

// as returns the openid that came with the request for a path, and whether one came at all.
func (b *backend) as(path string) (openid string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	openid, ok = b.seen[path]
	return openid, ok
}

func (b *backend) pushed(openid string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.pushes[openid]...)
}

// link is a connection of the site that can be broken, to one server or to those of a cluster.
type link struct {
	t       *testing.T
	proxies []*toxiproxy.Proxy
	broken  []*toxiproxy.Proxy // of these, in the cell at hand
}

var toxicsServer = sync.OnceValue(func() *toxiproxy.ApiServer {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
})

func newLink(t *testing.T, name string, upstreams ...string) *link {
	t.Helper()
	l := &link{t: t}
	for _, upstream := range upstreams {
		proxy := toxiproxy.NewProxy(toxicsServer(), name, "127.0.0.1:"+testkit.FreePort(t), upstream)
		if err := proxy.Start(); err != nil {
			t.Fatal(err)
		}
		l.proxies = append(l.proxies, proxy)
	}
	l.broken = l.proxies
	t.Cleanup(func() {
		for _, proxy := range l.proxies {
			proxy.Stop()
		}
	})
	return l
}

// address is where the site finds the server.
func (l *link) address() string { return l.proxies[0].Listen }

// renew puts new proxies in the place of those that are there, and chooses which of several will be
// broken: toxiproxy 2.5.0 panics when a toxic is added to a connection that another has closed.
func (l *link) renew(random *rand.Rand) {
	l.t.Helper()
	for i, old := range l.proxies {
		old.Stop()
		l.proxies[i] = toxiproxy.NewProxy(toxicsServer(), old.Name, old.Listen, old.Upstream)
		if err := l.proxies[i].Start(); err != nil {
			l.t.Fatal(err)
		}
	}
	at := random.IntN(len(l.proxies) + 1) // one, or all
	if l.broken = l.proxies; at < len(l.proxies) {
		l.broken = l.proxies[at : at+1]
	}
}

// add breaks the link in one way and direction.
func (l *link) add(toxic toxic, direction string) {
	l.t.Helper()
	for _, proxy := range l.broken {
		if toxic.kind == down {
			proxy.Stop()
			continue
		}
		text, err := json.Marshal(map[string]any{
			"name": fmt.Sprint(toxic.kind, direction, time.Now().UnixNano()), "type": toxic.kind, "stream": direction,
			"toxicity": toxic.share, "attributes": toxic.attributes,
		})
		if err != nil {
			l.t.Fatal(err)
		}
		if _, err := proxy.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			l.t.Fatalf("%s: %v", text, err)
		}
	}
}

// heal makes the link whole.
func (l *link) heal() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, proxy := range l.broken {
		if !proxy.Enabled {
			if err := proxy.Start(); err != nil {
				l.t.Fatal(err)
			}
		}
		proxy.Toxics.ResetToxics(ctx)
	}
}

// secrets are values that no log and no refusal may hold.
type secrets struct {
	mu  sync.Mutex
	all map[string]bool
}

func newSecrets() *secrets {
	s := &secrets{all: map[string]bool{}}
	s.add(appSecret, hookSecret, serviceSecret, sealKey, pushToken, pushKey)
	return s
}

func (s *secrets) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if len(v) >= 8 {
			s.all[v] = true
		}
	}
}

// in returns how many of them a text holds.
func (s *secrets) in(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.all {
		if strings.Contains(text, v) {
			n++
		}
	}
	return n
}

func readText(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}
