#!/usr/bin/env bash
# Measures everything and writes what docs/performance.md shows. Takes about an hour, on a machine that does
# nothing else, and needs Linux, wrk, nginx and redis-server.
#
#   bash bench/measure.sh [-short]     -short tells whether everything works, and writes nothing
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/../scripts/lib.sh"

mode=-docs
case ${1:-} in
'') ;;
-short) mode=-short ;;
*) die "unknown option $1; there is only -short" ;;
esac

go build -o "$tmp/caddy" ./cmd/caddy

if [[ $mode == -docs ]]; then
	step "Go benchmarks"
	{
		echo "date: $(date +%F)"
		echo "go: $(go env GOVERSION)"
		go list -m -f '{{.Path}}: {{.Version}}' github.com/caddyserver/caddy/v2 github.com/golang-jwt/jwt/v5
		go test -run='^$' -bench=. -count=6 -timeout=1h ./bench
	} | tee bench/baseline.txt
fi

step "next to others"
go run ./bench/load -caddy "$tmp/caddy" "$mode"

step "many sessions"
if [[ $mode == -docs ]]; then
	go run ./bench/scale
else
	go run ./bench/scale -sessions 1000 -alone 100ms -d 100ms
fi
