#!/bin/sh
# Copies the session file of a running Caddy, checks the copy, and removes copies older than some days. It prints
# nothing unless something is wrong, so that cron sends mail then and only then.
#
#   backup.sh <sessions.db> <folder> [<days>]
set -eu
umask 077

store=${1:?usage: backup.sh <sessions.db> <folder> [<days>]}
folder=${2:?usage: backup.sh <sessions.db> <folder> [<days>]}
days=${3:-14}

# sqlite3 would make an empty file.
[ -s "$store" ] || { echo "there is no $store" >&2; exit 1; }

copy=$folder/sessions-$(date -u +%Y%m%dT%H%M%SZ).db
part=$copy.part
trap 'rm -f "$part" "$part-journal"' EXIT
sqlite3 -cmd '.timeout 10000' "$store" "VACUUM INTO '$part'"
check=$(sqlite3 -readonly "$part" 'PRAGMA integrity_check')
[ "$check" = ok ] || { echo "the copy of $store is damaged: $check" >&2; exit 1; }
mv "$part" "$copy"

find "$folder" -name 'sessions-*.db' -type f -mtime "+$days" -delete
