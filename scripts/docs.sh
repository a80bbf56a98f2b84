#!/usr/bin/env bash
# Runs the ```bash blocks of a document one after the other, each from the top folder of a copy of this checkout.
# A ```text block right after one is what it prints. Blocks that begin with docker are left out, but what their
# Dockerfile RUNs must be a line of a block that was run.
#
#   scripts/docs.sh <document> [<folder for the copy>]
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

doc=${1:?usage: scripts/docs.sh <document> [<folder for the copy>]}
work=${2:-$tmp/docs}
mkdir -p "$work/wechatauth" "$tmp/blocks"
files . | tar -cf - -T - | tar -xf - -C "$work/wechatauth"

awk -v dir="$tmp/blocks" '
	/^```/ && block { block = ""; next }
	/^```bash$/ { block = sprintf("%s/%02d.sh", dir, ++n); lang = "bash"; text = ""; next }
	/^```text$/ && lang == "bash" { block = sprintf("%s/%02d.want", dir, n); lang = "text"; next }
	/^```dockerfile$/ { block = dir "/Dockerfile"; lang = "dockerfile"; next }
	/^```/ { block = "/dev/null"; lang = ""; next }
	block { print > block; next }
	NF { if (lang != "bash") lang = "" }
' "$doc"

shopt -s nullglob
ran=0
for block in "$tmp"/blocks/*.sh; do
	if [[ $(head -n 1 "$block") == docker* ]]; then
		echo "left out, needs Docker: $(head -n 1 "$block")"
		continue
	fi
	sed 's/^/    /' "$block"
	if ! (cd "$work/wechatauth" && bash -euo pipefail "$block") >"$tmp/out" 2>"$tmp/err" </dev/null; then
		cat "$tmp/out" "$tmp/err" >&2
		die "$doc: this block failed: $(cat "$block")"
	fi
	want=${block%.sh}.want
	if [[ -f $want ]] && ! diff "$want" "$tmp/out"; then
		die "$doc: the block above does not print what the document says"
	fi
	cat "$block" >>"$tmp/ran"
	ran=$((ran + 1))
done
((ran > 0)) || die "$doc: no bash block found"

if [[ -f $tmp/blocks/Dockerfile ]]; then
	sed -n 's/^RUN //p' "$tmp/blocks/Dockerfile" | while IFS= read -r line; do
		grep -qxF -- "$line" "$tmp/ran" || die "$doc: the Dockerfile runs what no bash block shows: $line"
	done
fi
