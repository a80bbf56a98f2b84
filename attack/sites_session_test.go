// The sites for what becomes of sessions.

package attack_test

var sessionSites = []rigSite{
	// Everything ends soon, and WeChat gets little time.
	{"brief", `
	wechat_auth {
		$APP_A
		$COMMON
		timeout 500ms
		token {
			ttl 3s
		}
		session {
			idle 4s
			lifetime 6s
			grace 1s
		}
	}
	reverse_proxy $UPSTREAM`},

	// A hook that may be away.
	{"lenient", `
	wechat_auth {
		$APP_A
		$COMMON
		hook $HOOK {
			secret ` + rigHookSecret + `
			on_error allow
		}
	}
	reverse_proxy $UPSTREAM`},

	// Little memory, and no log that a flood would fill.
	{"small", `
http://:$PORT {
	wechat_auth {
		$APP_A
		$COMMON
		token {
			remember 1MiB
		}
	}
	reverse_proxy $UPSTREAM
}`},
}
