#!/usr/bin/env bash
# Prints what CHANGELOG.md says about a version. A version it says nothing about is an error.
#
#   scripts/notes.sh v0.1.0
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

version=${1:?usage: scripts/notes.sh <version>}
awk -v head="## [${version#v}]" '
	/^## / { inside = index($0, head) == 1; next }
	inside { print }' CHANGELOG.md >"$tmp/notes"
grep -q '[^[:space:]]' "$tmp/notes" || die "CHANGELOG.md says nothing about $version"
cat "$tmp/notes"
