#!/usr/bin/env bash
# Imports users through the operator's command, and lists them by page while others log in. Needs Linux, Go and curl.
#
#   bash bench/users.sh [<users> [<redis address>]]      100000 users in a SQLite file, unless there is an empty Redis
#
# Everything runs on 127.0.0.1 and ends with the script; in Redis the users stay. A million users take some five minutes.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../scripts/lib.sh"

users=${1:-100000} store="sqlite $tmp/sessions.db" port=${PORT:-18490} # the first of three ports
[[ ${2:-} ]] && store="redis $2"
cat >"$tmp/Caddyfile" <<EOF
{
	admin 127.0.0.1:$port
	persist_config off
	auto_https off
	default_bind 127.0.0.1
}
http://:$((port + 1)) {
	wechat_auth {
		app wx0123456789abcdef 4a6b8c0d1e2f3a5b7c9d0e1f2a3b4c5d
		api http://127.0.0.1:$((port + 2))
		limit login off
		store $store
	}
}
http://:$((port + 2)) {
	wechat_sandbox {
		app wx0123456789abcdef 4a6b8c0d1e2f3a5b7c9d0e1f2a3b4c5d
	}
}
EOF
go build -o "$tmp/caddy" ./cmd/caddy
export XDG_DATA_HOME=$tmp/data XDG_CONFIG_HOME=$tmp/config
pids=()
cleanup() {
	kill "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
	rm -rf "$tmp"
}
"$tmp/caddy" run --config "$tmp/Caddyfile" --adapter caddyfile 2>"$tmp/caddy.log" &
pids+=($!)
site=http://127.0.0.1:$((port + 1)) sandbox=http://127.0.0.1:$((port + 2))
curl -fs --retry 50 --retry-connrefused --retry-delay 1 -o "$tmp/health" "$site/auth/healthz"

operate() { "$tmp/caddy" wechat-auth "$@" --address "127.0.0.1:$port"; }
since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }'; }

# logins logs in one of 500 users after the other, with the time of each, until the file is there.
logins() {
	local i=0 code
	until [[ -e $tmp/listed ]]; do
		code=$(curl -fsS "$sandbox/sandbox/codes" -d "{\"user\":\"u$((i++ % 500))\",\"kind\":\"login\"}")
		curl -sS -o "$tmp/login" -w '%{http_code} %{time_total}\n' "$site/auth/login" -d "$code" >>"$tmp/logins"
	done
}

# list asks for page after page.
list() {
	local after='' page="$tmp/page"
	while :; do
		operate users --json --limit 1000 ${after:+--after "$after"} >"$page"
		grep -o '"openid": "oImported[^"]*"' "$page" >>"$tmp/openids"
		after=$(sed -n 's/^  "next": "\(.*\)"$/\1/p' "$page")
		[[ $after ]] || return 0
	done
}

seq "$users" | awk '{ printf "{\"openid\":\"oImported%019d\",\"unionid\":\"oUnion%022d\",\"phone\":\"1%010d\",\"phone_number\":\"+861%010d\"," \
	"\"verified_at\":\"2026-01-31T08:00:00+08:00\",\"nickname\":\"n%d\"}\n", $1, $1, $1, $1, $1 }' >"$tmp/users.jsonl"
began=$EPOCHREALTIME
operate import "$tmp/users.jsonl"
echo "import: $(since "$began")"

logins &
pids+=($!)
began=$EPOCHREALTIME
list
echo "list of all pages of 1000: $(since "$began")"
touch "$tmp/listed"
wait "${pids[1]}"
echo "users listed: $(wc -l <"$tmp/openids"), different ones: $(sort -u "$tmp/openids" | wc -l)"
awk '$1 != 200 { bad++ } { print $2 > times } END { printf "logins meanwhile: %d, not answered 200: %d\n", NR, bad }' times="$tmp/times" "$tmp/logins"
sort -n "$tmp/times" | awk '{ t[NR] = $1 }
	END { printf "a login: median %.1f ms, p99 %.1f ms, longest %.1f ms\n", t[int((NR + 1) / 2)] * 1000, t[int(NR * 0.99 + 0.99)] * 1000, t[NR] * 1000 }'
