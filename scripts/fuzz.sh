#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (default 5s), one at a time, as go test wants it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

files '*_test.go' | while IFS= read -r file; do
	sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file" | while IFS= read -r target; do
		echo "./$(dirname "$file") $target"
		quiet go test -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-5s}" "./$(dirname "$file")" </dev/null
	done
done
