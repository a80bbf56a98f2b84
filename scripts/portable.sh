#!/usr/bin/env bash
# Runs the tests that need no other program and no Linux, as the workflows do on macOS and Windows. The others start
# Redis, nginx, browsers and backends: scripts/test.sh runs them on Debian.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

go test -timeout=15m ./jwt ./wechat/... ./session ./session/memstore ./session/sqlitestore ./avatar ./sidecar ./sandbox
