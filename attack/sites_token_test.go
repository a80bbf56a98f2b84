// The sites that differ in their tokens.

package attack_test

var tokenSites = []rigSite{
	{"hs", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			algorithm HS256
			key {file.$DIR/hs.secret}
		}
		header X-Role role
	}
	reverse_proxy $UPSTREAM`},

	{"rs", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			algorithm RS256
			key $DIR/rs.pem
		}
	}
	reverse_proxy $UPSTREAM`},

	{"es", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			algorithm ES256
			key $DIR/es.pem
		}
	}
	reverse_proxy $UPSTREAM`},

	{"ed", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			algorithm EdDSA
			key $DIR/ed.pem
		}
	}
	reverse_proxy $UPSTREAM`},

	{"audience", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			audience https://api.example.com
		}
	}
	reverse_proxy $UPSTREAM`},

	{"issuer", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			issuer https://login.example.com/auth
		}
	}
	reverse_proxy $UPSTREAM`},

	{"sealed", `
	wechat_auth {
		$APP_A
		$COMMON
		token {
			phone sealed
		}
		phone_required /vip/*
	}
	reverse_proxy $UPSTREAM`},
}
