#!/usr/bin/env bash
# Builds what a release has into dist/: archives, SBOMs and checksums. Nothing is published but by --publish.
#
#   scripts/release.sh               a snapshot of the last commit for all systems
#   scripts/release.sh --single      for the system of this machine alone
#   scripts/release.sh --publish     what the workflow of a tag runs: to GitHub, with an image for its registry
#
# The binaries are those of xcaddy: a main package of its own, with this module as a dependency at its version, because
# `caddy list-modules --versions` knows no other. A proxy made of files serves that version before anybody has published
# it; the sum that the binary names is the one that the public proxy will compute from the tag.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

version=$(bash scripts/version.sh)
version=${version%.dirty} # of the last commit: what is not committed is not in it
config=.goreleaser.yaml
options=(--snapshot --skip=docker)
case ${1:-} in
'') ;;
--single)
	config=$tmp/goreleaser.yaml
	sed -e "s/^    goos: .*/    goos: [$(go env GOOS)]/" -e "s/^    goarch: .*/    goarch: [$(go env GOARCH)]/" .goreleaser.yaml >"$config"
	;;
--publish)
	[[ $(bash scripts/version.sh) == "$(git -c "safe.directory=$root" describe --tags --exact-match 2>/dev/null)" ]] ||
		die "$(bash scripts/version.sh) is no tag: a release is made of a clean checkout of one"
	bash scripts/notes.sh "$version" >"$tmp/notes.md"
	options=(--release-notes "$tmp/notes.md")
	;;
*) die "unknown option $1; there are --single and --publish" ;;
esac

git() { command git -c "safe.directory=$root" "$@"; }
date=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)

# pack writes the module's version where a proxy has it; https://go.dev/ref/mod#zip-files says what is in the zip.
pack() {
	local to=$1/$own/@v nested
	mkdir -p "$to"
	mapfile -t nested < <(git ls-files '*/go.mod' | sed 's|^\(.*\)/go\.mod$|:(exclude)\1|')
	git archive --format=zip --prefix="$own@$version/" -o "$to/$version.zip" HEAD -- . "${nested[@]}"
	git show HEAD:go.mod >"$to/$version.mod"
	printf '{"Version":"%s","Time":"%s"}\n' "$version" "$date" >"$to/$version.info"
}

# prepare has xcaddy write the main package that it would build, with the packages given.
prepare() {
	local name=$1 with
	with=("${@:2}")
	rm -rf ".release/$name" .release/buildenv_*
	XCADDY_SKIP_BUILD=1 TMPDIR=$root/.release quiet "$tmp/bin/xcaddy" build "$caddy" "${with[@]/#/--with=}"
	mv .release/buildenv_* ".release/$name"
	(cd ".release/$name" && quiet go mod tidy -e)
}

step "tools"
mkdir -p "$tmp/bin" .release
go build -modfile=tools/go.mod -o "$tmp/bin/" github.com/caddyserver/xcaddy/cmd/xcaddy
go build -modfile=tools/release/go.mod -o "$tmp/bin/" tool
export PATH=$tmp/bin:$PATH
caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)

step "$own $version"
rm -rf .release/proxy
pack .release/proxy
from_own_proxy "$version"
prepare caddy "$own@$version"
prepare caddy-dev "$own@$version" "$own/sandbox@$version"

step "archives"
export RELEASE_VERSION=${version#v} RELEASE_COMMIT RELEASE_DATE=$date RELEASE_TIME
RELEASE_COMMIT=$(git rev-parse HEAD)
RELEASE_TIME=$(git log -1 --format=%ct)
quiet goreleaser check "$config"
goreleaser release --clean --config "$config" "${options[@]}"
