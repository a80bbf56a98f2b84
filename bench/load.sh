#!/usr/bin/env bash
# Prints what a request, a login and a refresh cost Caddy, next to a bare reverse_proxy. Needs Linux, Go, curl and wrk.
#
#   bash bench/load.sh [<rounds>]      31 rounds take about five minutes
#
# Everything runs on 127.0.0.1 and ends with the script. All sites are in one process, so that they share its garbage
# collector; each round asks all of them for a second, every other round in reverse.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../scripts/lib.sh"

rounds=${1:-31} port=${PORT:-18470} # the first of ten ports
algorithms=(HS256 ES256 EdDSA RS256 PS256)
command -v wrk curl >/dev/null || die "install wrk and curl"

options='{
	admin off
	persist_config off
	auto_https off
	default_bind 127.0.0.1
}'
cat >"$tmp/back" <<EOF
$options
http://:$port {
	header Content-Type application/json
	respond "{\"openid\":\"{header.X-WX-OPENID}\",\"orders\":[{\"id\":1,\"state\":\"paid\"},{\"id\":2,\"state\":\"sent\"}]}"
}
http://:$((port + 1)) {
	wechat_sandbox {
		app wx0123456789abcdef sandbox-secret
	}
}
EOF
printf '%s\nhttp://:%d {\n\treverse_proxy 127.0.0.1:%d\n}\n' "$options" $((port + 2)) "$port" >"$tmp/front"
declare -A ports=([reverse_proxy]=$((port + 2)))
for name in "${algorithms[@]}" login; do # logins have a site of their own, for they end old sessions
	ports[$name]=$((port + 2 + ${#ports[@]}))
	cat >>"$tmp/front" <<-EOF
		http://:${ports[$name]} {
			wechat_auth {
				app wx0123456789abcdef sandbox-secret
				api http://127.0.0.1:$((port + 1))
				limit login off
				store sqlite $tmp/$name.db
				token {
					algorithm ${name/login/ES256}
					ttl 24h
				}
			}
			reverse_proxy 127.0.0.1:$port
		}
	EOF
done

go build -o "$tmp/caddy" ./cmd/caddy
export XDG_DATA_HOME=$tmp/data XDG_CONFIG_HOME=$tmp/config
pids=()
cleanup() {
	kill "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
	rm -rf "$tmp"
}
for part in back front; do
	"$tmp/caddy" run --adapter caddyfile --config "$tmp/$part" >"$tmp/$part.log" 2>&1 </dev/null &
	pids+=($!)
done
curl --silent --output /dev/null --retry 100 --retry-delay 1 --retry-connrefused "127.0.0.1:${ports[login]}" || die "$(tail -n 5 "$tmp"/*.log)"

# load sends what wrk.lua makes of the files to a port, and prints: requests, microseconds, those of the 99th percentile.
load() { # <port> <what> <input> [<output>]
	wrk -t1 -c64 -d"${seconds:-1}s" --timeout 10s -s bench/wrk.lua "http://127.0.0.1:$1" -- "${@:2}" >"$tmp/wrk.log"
	sed -n 's/^RESULT //p' "$tmp/wrk.log" | awk '$4 > 0 { exit 1 } { print $1, $2, $3 }' || die "$2 on port $1: $(cat "$tmp/wrk.log")"
}
cpu() { awk '{ print $14 + $15 }' "/proc/${pids[1]}/stat"; }
ticks=$(getconf CLK_TCK)

declare -A bare # by round
measure() { # <name> <arguments of load>: adds a line of requests per second, p99 in ms, CPU in µs
	local before requests micros p99
	before=$(cpu)
	read -r requests micros p99 < <(load "${@:2}")
	awk -v n="$requests" -v d="$micros" -v p="$p99" -v c=$(($(cpu) - before)) -v t="$ticks" -v name="$1" -v round="$round" \
		'BEGIN { print round, name, n / d * 1e6, p / 1e3, c / t / n * 1e6 }' >>"$tmp/results"
}

for algorithm in "${algorithms[@]}"; do
	seconds=3 load $((port + 1)) code /dev/null "$tmp/codes" >/dev/null
	load "${ports[$algorithm]}" login "$tmp/codes" "$tmp/$algorithm" >/dev/null
done
for ((round = 1; round <= rounds; round++)); do
	order=(reverse_proxy "${algorithms[@]}")
	((round % 2)) || mapfile -t order < <(printf '%s\n' "${order[@]}" | tac)
	for name in "${order[@]}"; do
		measure "$name" "${ports[$name]}" get "$tmp/${name/reverse_proxy/ES256}"
	done
	seconds=3 load $((port + 1)) code /dev/null "$tmp/codes" >/dev/null
	measure login "${ports[login]}" login "$tmp/codes" "$tmp/sessions"
	measure refresh "${ports[login]}" refresh "$tmp/sessions"
done

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "$(date +%F), $(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(go env GOVERSION), Caddy $("$tmp/caddy" version | cut -d' ' -f1), $rounds rounds"
printf '| What | Answers/s | p99 | CPU of Caddy | CPU, compared |\n|---|---|---|---|---|\n'
for name in reverse_proxy "${algorithms[@]}" login refresh; do
	awk -v name="$name" '$2 == "reverse_proxy" { bare[$1] = $5 } $2 == name { cpu[$1] = $5 } END { for (r in cpu) print cpu[r] / bare[r] }' "$tmp/results" >"$tmp/ratios"
	column() { awk -v name="$name" -v n="$1" '$2 == name { print $n }' "$tmp/results" | median; }
	printf '| %s | %.0f | %.1f ms | %.0f µs | %.2f × |\n' "$name" "$(column 3)" "$(column 4)" "$(column 5)" "$(median <"$tmp/ratios")"
done
