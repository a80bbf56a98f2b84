#!/usr/bin/env bash
# Checks what the tests alone do not: formatting, lint, other systems, workflows, the builds of xcaddy.md and of a
# release, fuzz targets, and all tests once more with the race detector in random order. It follows scripts/test.sh,
# which installs what both need.
#
# FUZZTIME (2000x) is what a fuzz target gets: so many inputs, for which no fuzzing fails because the machine is
# slow (go.dev/issue/75804). GOFLAGS reaches every go command.
set -euo pipefail
exec </dev/null
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

step formatting
unformatted=$(files '*.go' | tr '\n' '\0' | xargs -0 gofmt -l)
[[ -z $unformatted ]] || die "not formatted, run make fmt: $unformatted"

step go.mod
go mod tidy -diff
(cd examples/backends/go && go mod tidy -diff && go vet ./...)

step "lint and vet"
tool golangci-lint fmt --diff
tool golangci-lint run

step "other systems"
for system in darwin windows; do
	GOOS=$system go vet ./...
done

step "workflows"
go tool -modfile=tools/workflows/go.mod actionlint -shellcheck= -pyflakes=
unpinned=$(grep -rhoE 'uses: .*' .github/workflows | grep -vE '@[0-9a-f]{40} # v[0-9.]+$' || true)
[[ -z $unpinned ]] || die "an action without a commit hash and its version: $unpinned"

step "xcaddy.md, run as written"
bash scripts/docs.sh xcaddy.md "$tmp/docs"
bash scripts/smoke.sh "$tmp/docs/wechatauth/caddy"

step "examples/deploy, by the parsers of Docker, Compose and Kubernetes"
(cd tests/deploy && go mod tidy -diff && go vet ./... && go test ./...)

step "the version that a build of a checkout shows"
git -c "safe.directory=*" clone --quiet --no-hardlinks . "$tmp/clone"
go build -C "$tmp/clone" -buildvcs=true -o "$tmp/caddy" ./cmd/caddy
got=$("$tmp/caddy" wechat-auth version | sed -n 's/^wechat_auth: *//p')
want=$(bash "$tmp/clone/scripts/version.sh")
[[ $got == "$want" ]] || die "go build names the version $got, scripts/version.sh $want"

step "a release, for this system"
bash scripts/release.sh --single
bash scripts/unpack.sh

step "broken connections, with toxiproxy and network namespaces"
cp tests/faults/go.mod "$tmp/faults.mod" # a copy, which follows the requirements of the top by itself
cp tests/faults/go.sum "$tmp/faults.sum"
(cd tests/faults && go vet -mod=mod -modfile="$tmp/faults.mod" ./... && go test -mod=mod -modfile="$tmp/faults.mod" ./...)

step "soak, for 20 seconds"
(cd tests/soak && go mod tidy -diff && go vet ./... && go test ./...)

step "fuzz, ${FUZZTIME:=2000x} each"
FUZZTIME=$FUZZTIME bash scripts/fuzz.sh --brief

# Last, so that Go's own summary closes the output.
step "test, with the race detector"
CGO_ENABLED=1 go test -race -shuffle=on -p=1 -timeout=20m ./... # one package at a time: many have servers of their own
