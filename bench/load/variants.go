package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

// variant is one way to put something, or nothing, between clients and the upstream.
type variant struct {
	name      report.Text
	algorithm string // of the tokens that are sent
	guards    bool   // refuses a request without a token
	remembers bool   // what it has verified

	// start returns the address to send to, by the process that listens there, and all processes whose
	// cost counts.
	start func(context.Context, *bench) (front *lab.Process, all []*lab.Process, err error)
}

// fiveHeaders set as much as wechat_auth does, to whoever asks.
var fiveHeaders = []string{
	"request_header X-My-Openid " + openID(0),
	"request_header X-My-Appid " + lab.AppID,
	"request_header X-My-Source wx_client",
	"request_header X-My-Unionid oUnion-0123456789_0123456789",
	"request_header X-My-Phone 13800138000",
}

// variants has what the others are compared with first.
func variants() []variant {
	all := []variant{{
		name: report.Text{"Caddy, `reverse_proxy` alone", "Caddy，只有 `reverse_proxy`"}, algorithm: "ES256",
		start: func(ctx context.Context, b *bench) (*lab.Process, []*lab.Process, error) {
			return alone(b.startCaddy(ctx))
		},
	}, {
		name: report.Text{"Caddy, five `request_header` lines", "Caddy，五行 `request_header`"}, algorithm: "ES256",
		start: func(ctx context.Context, b *bench) (*lab.Process, []*lab.Process, error) {
			return alone(b.startCaddy(ctx, fiveHeaders...))
		},
	}}
	for _, algorithm := range []string{"HS256", "ES256", "EdDSA", "RS256"} {
		all = append(all, variant{
			name: report.Same("Caddy, `wechat_auth`, %s", algorithm), algorithm: algorithm, guards: true, remembers: true,
			start: func(ctx context.Context, b *bench) (*lab.Process, []*lab.Process, error) {
				return alone(b.startGuarded(ctx, algorithm))
			},
		})
	}
	for _, algorithm := range []string{"HS256", "ES256"} {
		all = append(all, variant{
			name: report.Same("Caddy, `forward_auth`, %s", algorithm), algorithm: algorithm, guards: true,
			start: func(ctx context.Context, b *bench) (*lab.Process, []*lab.Process, error) {
				return b.withVerifier(ctx, algorithm, func(verifier *lab.Process) (*lab.Process, error) {
					return b.startCaddy(ctx, "forward_auth "+verifier.Addr+" {\nuri /verify\ncopy_headers X-WX-OPENID\n}")
				})
			},
		})
	}
	all = append(all, variant{
		name: report.Text{"nginx, `proxy_pass` alone", "nginx，只有 `proxy_pass`"}, algorithm: "ES256",
		start: func(ctx context.Context, b *bench) (*lab.Process, []*lab.Process, error) {
			return alone(b.startNginx(ctx, nil))
		},
	})
	for _, algorithm := range []string{"HS256", "ES256"} {
		all = append(all, variant{
			name: report.Same("nginx, `auth_request`, %s", algorithm), algorithm: algorithm, guards: true,
			start: func(ctx context.Context, b *bench) (*lab.Process, []*lab.Process, error) {
				return b.withVerifier(ctx, algorithm, func(verifier *lab.Process) (*lab.Process, error) {
					return b.startNginx(ctx, verifier)
				})
			},
		})
	}
	for i := range all {
		all[i].name[1] = strings.ReplaceAll(all[i].name[1], ", ", "，")
	}
	return all
}

func alone(p *lab.Process, err error) (*lab.Process, []*lab.Process, error) {
	return p, []*lab.Process{p}, err
}

func (b *bench) withVerifier(
	ctx context.Context, algorithm string, start func(*lab.Process) (*lab.Process, error),
) (*lab.Process, []*lab.Process, error) {
	k, err := b.keyring(algorithm)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := b.startRole(ctx, "verifier", algorithm, k.file)
	if err != nil {
		return nil, nil, err
	}
	front, err := start(verifier)
	return front, []*lab.Process{front, verifier}, err
}

// startNginx runs an nginx that proxies to the upstream, and asks the verifier first if there is one.
// Connections are kept open on all sides, as Caddy keeps them.
func (b *bench) startNginx(ctx context.Context, verifier *lab.Process) (*lab.Process, error) {
	program, err := lab.Find("nginx", "nginx-light")
	if err != nil {
		return nil, err
	}
	addr, err := b.lab.Addr()
	if err != nil {
		return nil, err
	}
	dir := b.lab.Path("nginx-" + strings.ReplaceAll(addr, ":", "-"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var http, server strings.Builder
	fmt.Fprintf(&http, "access_log off;\nkeepalive_requests 1000000000;\nproxy_http_version 1.1;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&http, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	const pool = "upstream %s { server %s; keepalive 256; keepalive_requests 1000000000; }\n"
	fmt.Fprintf(&http, pool, "backend", b.upstream.Addr)
	openid := `""` // what a client sends under this name must not get through
	if verifier != nil {
		fmt.Fprintf(&http, pool, "verifier", verifier.Addr)
		server.WriteString("auth_request /verify;\nauth_request_set $openid $upstream_http_x_wx_openid;\n")
		openid = "$openid"
	}
	fmt.Fprintf(&server, `location / {
	proxy_pass http://backend;
	proxy_set_header Host $host;
	proxy_set_header Connection "";
	proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
	proxy_set_header X-Forwarded-Proto $scheme;
	proxy_set_header X-WX-OPENID %s;
}
`, openid)
	if verifier != nil {
		server.WriteString(`location = /verify {
	internal;
	proxy_pass http://verifier;
	proxy_pass_request_body off;
	proxy_set_header Content-Length "";
	proxy_set_header Connection "";
}
`)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // the folder is root's alone
	}
	file, err := b.lab.Write("nginx-"+strings.ReplaceAll(addr, ":", "-")+"/nginx.conf", fmt.Sprintf(
		"%sdaemon off;\nworker_processes auto;\npid %s/pid;\nerror_log %s/error.log crit;\nevents { worker_connections 4096; }\n"+
			"http {\n%sserver {\nlisten %s;\n%s}\n}\n", user, dir, dir, &http, addr, &server))
	if err != nil {
		return nil, err
	}
	return b.lab.Start(ctx, "nginx", addr, program, "-p", dir, "-c", file, "-e", dir+"/error.log")
}
