#!/bin/sh
# Installs PostgreSQL for the tests of the store where that is possible without
# asking; elsewhere those tests skip and say so.
set -eu
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql; } >/dev/null 2>&1 && exit 0
fi
echo "PostgreSQL is not installed: the tests that need it will skip"
