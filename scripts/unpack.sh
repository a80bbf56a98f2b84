#!/usr/bin/env bash
# Tries what scripts/release.sh left in dist/, as somebody who downloaded it: compares the checksums, unpacks what is for
# this machine in an empty folder, starts it, and builds the binary once more with xcaddy to compare the two.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

(cd dist && quiet sha256sum --check --strict checksums.txt)
target=$(go env GOOS)_$(go env GOARCH)
expect() { # expect <what> <got> <want>
	[[ $2 == "$3" ]] || die "$1: got $2, want $3"
}

for archive in dist/caddy-wechat_*"_$target.tar.gz" dist/caddy-wechat-dev_*"_$target.tar.gz"; do
	tar -xzf "$archive" -C "$tmp"
done
folder=$(echo "$tmp"/caddy-wechat_*) dev=$(echo "$tmp"/caddy-wechat-dev_*)
version=v${folder#*caddy-wechat_}
version=${version%_"$target"}
commit=$(git -c "safe.directory=$root" rev-parse HEAD)

for file in LICENSE README.md README.zh-CN.md CHANGELOG.md Caddyfile.example docs/api.md examples/deploy/systemd/Caddyfile; do
	cmp "$file" "$folder/$file"
done

# A page leads to no file that the archive lacks, save the sources and tests, which come with the repository.
for doc in README*.md docs/*.md; do
	while read -r link; do
		[[ -e $folder/$(dirname "$doc")/$link ]] || die "$doc links to $link, which the archive does not have"
	done < <(grep -oE '\]\([^):# ]+' "$doc" | cut -c3- | grep -vE '^https?$|^\.\./(attack|bench|e2e|sidecar|wechat|jwt|session|avatar|sandbox|tests|\.github)/|_test\.go$')
done

step "version"
"$folder/caddy" wechat-auth version
for name in wechat_auth commit; do
	said=$("$folder/caddy" wechat-auth version | sed -n "s/^$name: *//p")
	case $name in
	wechat_auth) expect "$name" "$said" "$version" ;;
	commit) expect "$name" "$said" "$commit" ;;
	esac
done
modules=$("$folder/caddy" list-modules --versions --skip-standard | grep '^http')
expect modules "$modules" "http.handlers.wechat_auth $version
http.handlers.wechat_auth.stores.memory $version
http.handlers.wechat_auth.stores.redis $version
http.handlers.wechat_auth.stores.sqlite $version"

step "a start"
bash scripts/smoke.sh "$folder/caddy"
XDG_DATA_HOME=$tmp/data XDG_CONFIG_HOME=$tmp/config quiet "$dev/caddy-dev" validate --config "$dev/Caddyfile.example"
bash scripts/smoke.sh "$dev/caddy-dev"

step "SBOM"
grep -q '"name": "github.com/caddy-wechat/wechatauth"' dist/caddy_*"_$target.cdx.json" || die "the SBOM does not name this module"

step "the same binary, built with xcaddy"
go build -modfile=tools/go.mod -o "$tmp/xcaddy" github.com/caddyserver/xcaddy/cmd/xcaddy
caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
date=$(TZ=UTC git -c "safe.directory=$root" log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
if [[ ${1:-} == --cold ]]; then export GOCACHE=$tmp/cache; fi
from_own_proxy "$version"
export XCADDY_GO_BUILD_FLAGS="-trimpath -tags nobadger,nomysql,nopgx -ldflags '-w -s -X $own/sidecar.commit=$commit -X $own/sidecar.date=$date'"
(cd "$tmp" && quiet ./xcaddy build "$caddy" --with "$own@$version" --output again)
cmp "$tmp/again" "$folder/caddy"
echo "$(sha256sum <"$tmp/again" | cut -c1-64) both"
