#!/usr/bin/env bash
# Prints the version of this checkout in the form that the go command gives to commits: the tag, or a pseudo-version,
# with .dirty at its end if something is not committed. Without git it prints v0.0.0.
set -euo pipefail
cd "$(dirname "$0")/.."

git() { command git -c "safe.directory=$PWD" "$@" 2>/dev/null; }

if ! stamp=$(TZ=UTC git log -1 --date=format-local:%Y%m%d%H%M%S --format='%cd %H'); then
	echo v0.0.0
	exit
fi
stamp=${stamp% *}-$(cut -c1-12 <<<"${stamp#* }")
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*') || tag=
changed=$(git status --porcelain)
if [[ -n $tag && -z $changed && $(git rev-parse "$tag^{commit}") == $(git rev-parse HEAD) ]]; then
	echo "$tag"
	exit
fi
case $tag in
'') version=v0.0.0-$stamp ;;
*-*) version=$tag.0.$stamp ;;
*) version=${tag%.*}.$((${tag##*.} + 1))-0.$stamp ;;
esac
echo "$version${changed:+.dirty}"
