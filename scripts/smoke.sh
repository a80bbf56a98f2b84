#!/usr/bin/env bash
# Starts a Caddy with wechat_auth on a unix socket, no network and no port, and asks it two things.
#
#   scripts/smoke.sh <caddy binary>
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

caddy=$(realpath "${1:?usage: scripts/smoke.sh <caddy binary>}")
cat >"$tmp/Caddyfile" <<EOF
{
	admin off
}
http:// {
	bind unix/$tmp/http.sock
	wechat_auth {
		app wx0123456789abcdef {env.WECHAT_SECRET}
	}
	respond "behind the guard"
}
EOF

export WECHAT_SECRET=0123456789abcdef0123456789abcdef XDG_DATA_HOME=$tmp/data XDG_CONFIG_HOME=$tmp/config
quiet "$caddy" validate --config "$tmp/Caddyfile"
"$caddy" run --config "$tmp/Caddyfile" >"$tmp/caddy.log" 2>&1 </dev/null &
pid=$!
cleanup() {
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	rm -rf "$tmp"
}

for _ in {1..100}; do
	[[ -S $tmp/http.sock ]] && break
	sleep 0.1
done
status() {
	curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' --unix-socket "$tmp/http.sock" "http://localhost$1"
}
expect() {
	local got
	got=$(status "$1") || true
	if [[ $got != "$2" ]]; then
		cat "$tmp/caddy.log" >&2
		die "GET $1: got $got, want $2"
	fi
}
expect /auth/.well-known/jwks.json 200
expect / 401
echo "publishes its keys, and lets nobody in without a token"
