package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
)

// bench is what all measurements share.
type bench struct {
	options
	lab      *lab.Lab
	upstream *lab.Process
	keys     map[string]*keyring // algorithm → its key and tokens
	programs [][]string          // what was used, with the arguments that ask for its version
}

func newBench(ctx context.Context, l *lab.Lab, o options) (*bench, error) {
	b := &bench{options: o, lab: l, keys: map[string]*keyring{}}
	var err error
	if b.caddy, err = l.Caddy(ctx, o.caddy); err != nil {
		return nil, err
	}
	b.upstream, err = b.startRole(ctx, "upstream")
	return b, err
}

// startRole runs this very program in another part.
func (b *bench) startRole(ctx context.Context, role string, args ...string) (*lab.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := b.lab.Addr()
	if err != nil {
		return nil, err
	}
	return b.lab.Start(ctx, role, addr, self, append([]string{roleArgument, role, addr}, args...)...)
}

// find returns a program's path and notes that its version matters.
func (b *bench) find(program, debianPackage, versionArgument string) (string, error) {
	path, err := lab.Find(program, debianPackage)
	b.programs = append(b.programs, []string{path, versionArgument})
	return path, err
}

// startCaddy runs a site of these directives, before its reverse_proxy to the upstream.
func (b *bench) startCaddy(ctx context.Context, directives ...string) (*lab.Process, error) {
	addr, err := b.lab.Addr()
	if err != nil {
		return nil, err
	}
	site := lab.Site(addr, append(directives, "reverse_proxy "+b.upstream.Addr)...)
	return b.lab.StartCaddy(ctx, b.caddy, addr, site)
}

// startGuarded runs a site with wechat_auth that signs with an algorithm's key.
func (b *bench) startGuarded(ctx context.Context, algorithm string, lines ...string) (*lab.Process, error) {
	k, err := b.keyring(algorithm)
	if err != nil {
		return nil, err
	}
	token := fmt.Sprintf("token {\nalgorithm %s\nkey %s\nttl %s\n}", algorithm, k.setting, tokenLife)
	return b.startCaddy(ctx, lab.Guard(append(lines, token)...))
}

// check sends one request and wants an answer that is what the row is about.
func (b *bench) check(ctx context.Context, addr, token string, status int, text string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+requestPath, nil)
	if err != nil {
		return err
	}
	for _, h := range lab.RequestHeaders {
		req.Header.Set(h[0], h[1])
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body := new(strings.Builder)
	if err := res.Write(body); err != nil {
		return err
	}
	if res.StatusCode != status || !strings.Contains(body.String(), text) {
		return fmt.Errorf("got %s, want %d with %q", body, status, text)
	}
	return nil
}

// serve runs a handler at a free address of this process until stop is called.
func serve(h http.Handler) (url string, stop func()) {
	server := httptest.NewServer(h)
	return server.URL, func() {
		server.CloseClientConnections()
		server.Close()
	}
}

// storeLine is the store line of a configuration.
func (b *bench) storeLine(store, name, redis string) string {
	switch store {
	case "sqlite":
		return "store sqlite " + filepath.Join(b.lab.Dir, name+".db")
	case "redis":
		return "store redis redis://" + redis
	}
	return "store " + store
}
