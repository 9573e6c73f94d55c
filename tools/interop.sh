#!/bin/sh
# Shows that Apex and the real cosign believe each other's signatures, and makes
# the record of it in test/interop/testdata anew. Builds cosign into bin/tools
# when it is not there, which takes about six minutes; APEX_COSIGN names another
# cosign of the same version.
set -eu

version=v3.1.3
root=$(cd "$(dirname "$0")/.." && pwd)
go=${GO:-go}
cosign=${APEX_COSIGN:-$root/bin/tools/cosign}

if [ ! -x "$cosign" ]; then
	if [ -n "${APEX_COSIGN:-}" ]; then
		echo "APEX_COSIGN is $APEX_COSIGN, which is no program" >&2
		exit 3
	fi
	mkdir -p "$root/bin/tools"
	CGO_ENABLED=0 GOBIN="$root/bin/tools" "$go" install "github.com/sigstore/cosign/v3/cmd/cosign@$version"
fi

cd "$root"
export APEX_COSIGN="$cosign"
"$go" test -count=1 -timeout 20m -run '^TestUpdate$' ./test/interop -update
"$go" test -count=1 -timeout 20m ./test/interop
echo "recorded in test/interop/testdata/cosign-$version"
