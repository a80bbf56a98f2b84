// The sites that all attacks go to, and their upstream.

package attack_test

import "slices"

// rigGlobals are the options of all sites. HTTP/2 goes without TLS, so that frames can be written
// by hand; the log is as talkative as it gets.
const rigGlobals = `{
	admin off
	auto_https off
	persist_config off
	storage file_system $DIR/storage
	default_bind 127.0.0.1
	grace_period 2s
	log {
		output file $DIR/caddy.log {
			roll_disabled
		}
		level DEBUG
		format json
	}
	servers {
		protocols h1 h2c
		max_header_size 1MB
	}
	servers 127.0.0.1$ALIASED {
		protocols h1 h2c
		max_header_size 1MB
		expected_underscore_headers X_WX_* X-WX_* X_USER X-WX_OPENID X_WX-OPENID X.WX_OPENID
		expected_dot_headers X.WX.* X.USER X-WX.* X.WX_OPENID
	}
	servers 127.0.0.1$BEHIND {
		protocols h1 h2c
		trusted_proxies static 127.0.0.0/8
		trusted_proxies_strict
	}
	servers 127.0.0.1$TLS {
		protocols h1 h2 h3
		max_header_size 1MB
	}
}
`

// rigSite is a site with a port of its own. One that names $PORT is written out whole.
type rigSite struct{ name, caddyfile string }

var rigSites = slices.Concat(commonSites, tokenSites, sessionSites)

var commonSites = []rigSite{
	{"main", `
	wechat_auth {
		$APP_A
		$COMMON
		public /public/* /open /public-file.txt
		public GET /get-only /articles/*
		public POST PUT /hooks/*
		optional /optional/*
		optional GET /feed
		phone_required /vip/* /admin
		phone_required POST /orders
		header X-User openid
		header X-Phone-Number phone_number
		header X-Nick nickname
	}
	reverse_proxy $UPSTREAM`},

	// Reached by HTTP/3.
	{"tls", `
https://127.0.0.1:$PORT {
	tls $DIR/tls.crt $DIR/tls.key
	wechat_auth {
		$APP_A
		$COMMON
		public /public/*
		public POST /hooks/*
		optional /optional/*
		header X-User openid
		header X-Phone-Number phone_number
		header X-Nick nickname
	}
	reverse_proxy $UPSTREAM
}`},

	{"front", `
	wechat_auth {
		$APP_A
		$COMMON
		public GET HEAD /
		public OPTIONS /*
		phone_required DELETE /articles/*
	}
	reverse_proxy $UPSTREAM`},

	{"b", `
	wechat_auth {
		$APP_B
		$COMMON
		public /public/*
	}
	reverse_proxy $UPSTREAM`},

	{"both", `
	wechat_auth {
		$APP_A
		$APP_B
		$COMMON
	}
	reverse_proxy $UPSTREAM`},

	{"strip", `
	wechat_auth {
		$APP_A
		$COMMON
		cors https://m.example.com
		authorization strip
		public /public/*
		optional /optional/*
	}
	reverse_proxy $UPSTREAM`},

	{"query", `
	wechat_auth {
		$APP_A
		$COMMON
		authorization strip
		token_from query access_token
		public /public/*
		optional /optional/*
	}
	reverse_proxy $UPSTREAM`},

	{"query-keep", `
	wechat_auth {
		$APP_A
		$COMMON
		token_from query access_token
	}
	reverse_proxy $UPSTREAM`},

	{"cookie", `
	wechat_auth {
		$APP_A
		$COMMON
		authorization strip
		token_from cookie wxtoken
		public /public/*
	}
	reverse_proxy $UPSTREAM`},

	{"cookie-keep", `
	wechat_auth {
		$APP_A
		$COMMON
		token_from cookie wxtoken
	}
	reverse_proxy $UPSTREAM`},

	{"header", `
	wechat_auth {
		$APP_A
		$COMMON
		authorization strip
		token_from header X-Access-Token
		token_from cookie wxtoken
		public /public/*
		optional /optional/*
	}
	reverse_proxy $UPSTREAM`},

	{"header-keep", `
	wechat_auth {
		$APP_A
		$COMMON
		token_from header X-Access-Token
	}
	reverse_proxy $UPSTREAM`},

	// An upstream that answers CORS for everybody, and one that is away.
	{"cors", `
http://cors.test:$PORT, http://127.0.0.1:$PORT {
	log
	wechat_auth {
		$APP_A
		$COMMON
		token_from cookie wxtoken
		cors https://m.example.com http://localhost:5173
		public /public/*
	}
	reverse_proxy /away 127.0.0.1:1
	reverse_proxy /twice 127.0.0.1:$PORT {
		header_up Host star.test
	}
	reverse_proxy 127.0.0.1:$PORT {
		header_up Host star.test
		header_down -Access-Control-Allow-*
	}
	handle_errors {
		respond "{err.status_code} {http.wechat_auth.error} [{http.auth.user.phone}]"
	}
}
http://star.test:$PORT {
	header Access-Control-Allow-Origin *
	header Access-Control-Allow-Credentials false
	respond upstream
}`},

	{"named", `
	wechat_auth {
		$APP_A
		$COMMON
		headers none
		header x-user openid
		header X-USER-PHONE phone
		public /public/*
	}
	reverse_proxy $UPSTREAM`},

	{"aliased", `
	wechat_auth {
		$APP_A
		$COMMON
		header X-User openid
		public /public/*
	}
	reverse_proxy $UPSTREAM`},

	{"walled", `
	wechat_auth {
		$APP_A
		$COMMON
		phone_required /*
	}
	reverse_proxy $UPSTREAM`},

	{"based", `
	wechat_auth {
		$APP_A
		$COMMON
		base_path /api/wx
		public /public/*
	}
	reverse_proxy $UPSTREAM`},

	{"placeholders", `
	wechat_auth {
		$APP_A
		$COMMON
		headers none
		public /public/*
		optional /optional/*
	}
	reverse_proxy $UPSTREAM {
		header_up Q-Id "<{http.auth.user.id}>"
		header_up Q-Openid "<{http.auth.user.openid}>"
		header_up Q-Appid "<{http.auth.user.appid}>"
		header_up Q-Unionid "<{http.auth.user.unionid}>"
		header_up Q-Phone "<{http.auth.user.phone}>"
	}`},

	{"rewritten", `
	rewrite /old/* /public{uri}
	uri /mount/* strip_prefix /mount
	wechat_auth {
		$APP_A
		$COMMON
		public /public/*
		phone_required /vip/*
	}
	reverse_proxy $UPSTREAM`},

	{"limited", `
	wechat_auth {
		$APP_B
		api $API
		limit login 5/1h
		limit phone 3/1h
	}
	reverse_proxy $UPSTREAM`},

	{"behind-proxy", `
	wechat_auth {
		$APP_B
		api $API
		limit login 4/1h
		token_from cookie wxtoken
	}
	reverse_proxy $UPSTREAM`},

	// Caddy's own forward authentication, asking site "main".
	{"forward", `
	forward_auth $MAIN {
		uri /auth/verify
		copy_headers X-WX-OPENID X-WX-APPID X-WX-UNIONID X-WX-SOURCE X-WX-PHONE
	}
	reverse_proxy $UPSTREAM`},

	{"forward-phone", `
	forward_auth $MAIN {
		uri /auth/verify?phone=required
		copy_headers X-WX-OPENID X-WX-APPID X-WX-UNIONID X-WX-SOURCE X-WX-PHONE
	}
	reverse_proxy $UPSTREAM`},

	// Everything that a user can send.
	{"full", `
	wechat_auth {
		$APP_A
		$COMMON
		limit profile off
		encrypted_data on
		profile {
			check on
		}
		hook $HOOK {
			secret ` + rigHookSecret + `
			timeout 500ms
		}
		public /metrics
	}
	metrics /metrics`},

	{"pictures", `
	wechat_auth {
		$APP_A
		$COMMON
		limit profile off
	}
	reverse_proxy $UPSTREAM`},

	{"stream", `
	wechat_auth {
		$APP_A
		$COMMON
		public /public/*
	}
	reverse_proxy $BACKEND`},

	// Two sites on one listener: Caddy keeps the error routes of both in one list.
	{"errors", `
http://with-errors.test:$PORT {
	log
	wechat_auth {
		$APP_A
		$COMMON
		public /public/*
		phone_required /vip/*
	}
	reverse_proxy $UPSTREAM
	handle_errors {
		header X-Page "errors"
		respond "{err.status_code} {http.wechat_auth.error}" {err.status_code}
	}
}
http://without-errors.test:$PORT {
	log
	wechat_auth {
		$APP_A
		$COMMON
	}
	reverse_proxy $UPSTREAM
}
http://error-service.test:$PORT {
	log
	wechat_auth {
		$APP_A
		$COMMON
		authorization strip
		token_from query access_token
	}
	reverse_proxy $UPSTREAM
	handle_errors {
		reverse_proxy $UPSTREAM
	}
}`},
}
