#!/bin/sh
# Probes the running captioner with what its own description says it takes:
# apex scan has to find nothing, and has to find the flaw of one that asks for
# no token although its description says so.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
go build -o "$dir/captioner" ./examples/captioner/cmd/captioner
go build -o "$dir/apex" ./cmd/apex

# probe TOKEN sets code to the exit code of apex scan; 0 is clean, 1 is findings.
probe() {
	: >"$dir/log"
	echo "Authorization: Bearer $1" >"$dir/header"
	CAPTIONER_TOKEN=$1 "$dir/captioner" -address 127.0.0.1:0 2>"$dir/log" &
	pid=$!
	url=
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		url=$(sed -n 's/.*listening on \(http:[^,]*\),.*/\1/p' "$dir/log")
		[ -n "$url" ] && break
		sleep 0.25
	done
	[ -n "$url" ] || { echo "the captioner did not start:"; cat "$dir/log"; exit 3; }
	code=0
	PATH=/nowhere "$dir/apex" scan "$url" --openapi examples/captioner/server/openapi.json ${1:+--header-file "$dir/header"} >"$dir/out" 2>&1 || code=$?
	kill "$pid"; wait "$pid" 2>/dev/null || true
	pid=
}
probe sesame-of-a-test
[ "$code" = 0 ] || { echo "the captioner has findings (exit $code):"; cat "$dir/out"; exit 1; }
probe ''
[ "$code" = 1 ] || { echo "a captioner without a token should have findings (exit $code):"; cat "$dir/out"; exit 1; }
grep -q missing_authentication "$dir/out" || { echo "the missing token was not found:"; cat "$dir/out"; exit 1; }
echo "captioner: nothing found; without a token: found"
