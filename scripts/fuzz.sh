#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 5s), one at a time, as go test wants it.
#
#   bash scripts/fuzz.sh [--brief]     --brief does without the guidance of coverage, for which everything, Caddy
#                                      too, would be compiled once more, and takes the build that the tests need
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

brief=
case ${1:-} in
'') ;;
--brief) brief=yes ;;
*) die "unknown option $1; there is only --brief" ;;
esac

# fuzz runs one target of a package.
fuzz() {
	local flags=("fuzz=^$2\$" "fuzztime=${FUZZTIME:-5s}") program=$tmp/${1//\//-}.test
	if [[ -n $brief ]]; then
		[[ -e $program ]] || CGO_ENABLED=1 quiet go test -race -c -o "$program" "./$1"
		(cd "$1" && quiet "$program" -test.run='^$' -test.fuzzcachedir="$tmp/corpus" "${flags[@]/#/-test.}")
	else
		quiet go test -run='^$' "${flags[@]/#/-}" "./$1"
	fi
}

files '*_test.go' | while IFS= read -r file; do
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while IFS= read -r target; do
		echo "./$(dirname "$file") $target"
		fuzz "$(dirname "$file")" "$target" </dev/null
	done
done
