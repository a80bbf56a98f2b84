#!/usr/bin/env bash
# The whole test of this project. Needs Go, git and bash; what else it needs it installs (scripts/needs.sh).
#
#   bash scripts/test.sh [--fast]     --fast leaves out lint, fuzzing and the documented builds
#
# FUZZTIME (2000x) is what a fuzz target gets: so many inputs, for which no fuzzing fails because the machine is
# slow (go.dev/issue/75804). GOFLAGS reaches every go command.
set -euo pipefail
exec </dev/null
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

fast=
case ${1:-} in
'') ;;
--fast) fast=yes ;;
*) die "unknown option $1; there is only --fast" ;;
esac

step needs
bash scripts/needs.sh
go version

step formatting
unformatted=$(files '*.go' | tr '\n' '\0' | xargs -0 gofmt -l)
[[ -z $unformatted ]] || die "not formatted, run make fmt: $unformatted"

step build
go build ./...

step go.mod
go mod tidy -diff

if [[ -n $fast ]]; then
	step vet
	go vet ./...
else
	step "lint and vet"
	tool golangci-lint fmt --diff
	tool golangci-lint run

	step "xcaddy.md, run as written"
	bash scripts/docs.sh xcaddy.md "$tmp/docs"
	bash scripts/smoke.sh "$tmp/docs/wechatauth/caddy"

	step "fuzz, ${FUZZTIME:=2000x} each"
	FUZZTIME=$FUZZTIME bash scripts/fuzz.sh --brief
fi

step "what the race detector is too slow for"
go test -timeout=5m ./avatar

# Last, so that Go's own summary closes the output.
step test
CGO_ENABLED=1 go test -race -shuffle=on -timeout=5m ./...
