#!/bin/sh
# Runs pytest with the arguments given and fails when it skips a test for a reason that scripts/allowed-skips.txt lacks.
set -eu
cd "$(dirname "$0")/.."

echo "Only these reasons may skip a test:"
sed 's/^/  /' scripts/allowed-skips.txt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    sh scripts/pytest-again.sh -rs "$@" && status=0 || status=$?
    echo "$status" >"$folder/status"
} | tee "$folder/output"
if grep '^SKIPPED ' "$folder/output" | grep -vFf scripts/allowed-skips.txt >"$folder/unexpected"; then
    echo "test: skipped for a reason that scripts/allowed-skips.txt lacks:" >&2
    cat "$folder/unexpected" >&2
    exit 1
fi
exit "$(cat "$folder/status")"
