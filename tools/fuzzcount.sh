#!/bin/sh
# Runs the fuzz targets of the parsers of models in turns until each has been
# executed a given number of times (default 10 million). It can be stopped and
# goes on where it was: bin/fuzz/executions.tsv holds what was reached.
#
#   sh tools/fuzzcount.sh [executions] [seconds of a turn] [directory]
set -eu
want=${1:-10000000}
turn=${2:-60}
under=${3:-internal/model}
out=bin/fuzz
mkdir -p "$out"
touch "$out/executions.tsv"

reached() { awk -F'\t' -v t="$1" '$1 == t { n += $2 } END { print n + 0 }' "$out/executions.tsv"; }

go build ./... # a tree that does not build is no finding
grep -rl --include='*_test.go' '^func Fuzz' "$under" | xargs -n1 dirname | sort -u | while read -r dir; do
	go test -c -fuzz . -o "$out/$(echo "$dir" | tr / _).test" "./$dir"
done
while :; do
	left=0
	for bin in "$out"/*.test; do
		dir=$(basename "$bin" .test | tr _ /)
		for target in $("$bin" -test.list '^Fuzz'); do
			name="$dir $target"
			n=$(reached "$name")
			[ "$n" -ge "$want" ] && continue
			[ -e "$out/$(echo "$name" | tr '/ ' '__').failed" ] && continue
			left=1
			log="$out/last.log"
			status=0
			(cd "$dir" && "$OLDPWD/$bin" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "${turn}s" \
				-test.fuzzminimizetime 1x -test.parallel "${PARALLEL:-1}" \
				-test.fuzzcachedir "$OLDPWD/$out/cache/$dir") >"$log" 2>&1 || status=$?
			did=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -1)
			printf '%s\t%s\n' "$name" "${did:-0}" >>"$out/executions.tsv"
			echo "$name: +${did:-0}, $((n + ${did:-0})) of $want"
			if [ "$status" -ne 0 ] && ! grep -q 'context deadline exceeded' "$log"; then
				cp "$log" "$out/$(echo "$name" | tr '/ ' '__').failed"
				echo "$name: FAILED, see $out"
			fi
		done
	done
	[ "$left" -eq 0 ] && break
done
