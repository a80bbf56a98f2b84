// Command caddy is Caddy with wechat_auth and the WeChat sandbox, for the quick start and the
// tests. Production builds leave the sandbox out: see xcaddy.md.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-wechat/wechatauth"
	_ "github.com/caddy-wechat/wechatauth/sandbox"
)

func main() {
	caddycmd.Main()
}
