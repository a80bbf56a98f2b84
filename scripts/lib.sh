# Shared by the scripts beside it, which source it from any folder.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit

export GOWORK=off                                 # a go.work further up forbids -modfile
# No stamp is needed, and none fails in a checkout somebody else owns. Paths are left out as xcaddy leaves them
# out, so that nothing is compiled twice.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false -trimpath"
export CI="${CI:-true}" DEBIAN_FRONTEND=noninteractive

tmp=$(mktemp -d)
cleanup() { rm -rf "$tmp"; }
trap cleanup EXIT

die() {
	echo "$0: $*" >&2
	exit 1
}

step() {
	printf '\n== %s (at %dm%02ds)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60))
}

# quiet runs a command and shows what it printed only when it fails.
quiet() {
	if ! "$@" >"$tmp/quiet.log" 2>&1; then
		cat "$tmp/quiet.log" >&2
		die "failed: $*"
	fi
}

# compile builds all packages and shows how far it is.
compile() {
	local total
	total=$(go list -deps ./... 2>/dev/null | wc -l)
	go build -v ./... 2>&1 | awk -v total="$total" '
		/[ :]/ { print; next } # an error, or a download
		++n % 100 == 0 { printf "%d of at most %d packages compiled\n", n, total; fflush() }'
}

# files lists what git has or would take in, as far as it exists. Arguments are pathspecs.
files() {
	local f
	git -c "safe.directory=$root" ls-files --cached --others --exclude-standard -z -- "$@" |
		while IFS= read -r -d '' f; do
			if [[ -f $f ]]; then printf '%s\n' "$f"; fi
		done
}

tool() {
	go tool -modfile=tools/go.mod "$@"
}

own=github.com/caddy-wechat/wechatauth

# from_own_proxy has go take this module at a version from .release/proxy, which scripts/release.sh fills. At the end the
# version leaves the module cache: what is published under this number one day may be something else.
from_own_proxy() {
	uncached=$1
	export GOPROXY GONOSUMDB=$own
	GOPROXY="file://$root/.release/proxy,$(go env GOPROXY)"
	uncache() {
		local cache
		cache=$(go env GOMODCACHE)
		if [[ -d $cache/$own@$uncached ]]; then chmod -R u+w "$cache/$own@$uncached"; fi
		rm -rf "$cache/$own@$uncached" "$cache/cache/download/$own/@v/$uncached".*
	}
	cleanup() {
		uncache
		rm -rf "$tmp"
	}
	uncache
}
