#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 5s), one at a time, as go test wants it.
#
#   bash scripts/fuzz.sh [--brief|--coverage]
#
# --brief does without the guidance of coverage, for which everything, Caddy too, would be compiled once more, and
# takes the build that the tests need. --coverage fuzzes nothing: it says how much of each package the seeds cover,
# together with what fuzzing found on this machine.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

brief=
case ${1:-} in
'') ;;
--brief) brief=yes ;;
--coverage) ;;
*) die "unknown option $1; there are --brief and --coverage" ;;
esac

# coverage runs all inputs, in a copy of the tree: go test takes those of its cache for fuzzing alone.
coverage() {
	local found
	found=$(go env GOCACHE)/fuzz/$(go list -m)
	mkdir "$tmp/tree"
	files | tar -cT - | tar -xC "$tmp/tree"
	cd "$tmp/tree"
	find . -name '*_test.go' -exec grep -l '^func Fuzz' {} + | xargs -n1 dirname | sort -u | while IFS= read -r folder; do
		mkdir -p "$folder/testdata/fuzz"
		for corpus in "$found/$folder"/Fuzz*; do
			if [[ -d $corpus ]]; then cp -r "$corpus" "$folder/testdata/fuzz/"; fi
		done
		go test -run='^Fuzz' -cover "$folder" </dev/null
	done
}
if [[ ${1:-} == --coverage ]]; then
	coverage
	exit
fi

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
