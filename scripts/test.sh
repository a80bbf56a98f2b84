#!/usr/bin/env bash
# Runs all tests. Needs Go, git and bash; what else it needs it installs (scripts/needs.sh). Lint, the race detector,
# fuzzing and the documented builds are in scripts/check.sh.
set -euo pipefail
exec </dev/null
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

step needs
bash scripts/needs.sh
go version

step "build: some minutes the first time, for all of Caddy is compiled"
compile

# Last, so that Go's own summary closes the output.
step test
go test -timeout=14m ./...
