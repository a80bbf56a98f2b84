package lab

import (
	"context"
	"fmt"
	"strings"
)

// What every site of a measurement has.
const (
	AppID  = "wx0123456789abcdef"
	Secret = "0123456789abcdef0123456789abcdef"
)

// Site returns a Caddyfile with one site at an address, for any name, and directives in it.
func Site(addr string, directives ...string) string {
	_, port, _ := strings.Cut(addr, ":")
	return fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\tauto_https off\n}\nhttp://:%s {\n%s\n}\n",
		port, strings.Join(directives, "\n"))
}

// Guard returns a wechat_auth directive with further lines.
func Guard(lines ...string) string {
	return fmt.Sprintf("wechat_auth {\n\tapp %s %s\n\tlimit login off\n\tlimit phone off\n\tpublic GET /health\n\t%s\n}",
		AppID, Secret, strings.Join(lines, "\n\t"))
}

// StartCaddy runs a built Caddy with a Caddyfile of Site's until it serves.
func (l *Lab) StartCaddy(ctx context.Context, program, addr, caddyfile string) (*Process, error) {
	file, err := l.Write("Caddyfile-"+strings.ReplaceAll(addr, ":", "-"), caddyfile)
	if err != nil {
		return nil, err
	}
	return l.Start(ctx, "caddy", addr, program, "run", "--adapter", "caddyfile", "--config", file)
}

// StartRedis runs a Redis that keeps what it acknowledged, but for a second, as most do.
func (l *Lab) StartRedis(ctx context.Context) (*Process, error) {
	program, err := Find("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	addr, err := l.Addr()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	return l.Start(ctx, "redis-server", addr, program, "--bind", "127.0.0.1", "--port", port,
		"--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
}
