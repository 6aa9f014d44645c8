#!/bin/sh
# Runs pytest with the arguments given. The tests that failed get one more run, alone: on a busy machine a deadline can
# pass for no fault of the code's. What fails twice has failed; what passes then is named above, as a race to be mended.
set -u
cd "$(dirname "$0")/.."

cache=$(mktemp -d) # of its own, since two may run at the same time
trap 'rm -rf "$cache"' EXIT
.venv/bin/pytest -o cache_dir="$cache" "$@"
status=$?
if [ $status = 1 ]; then
    echo "test: the failed tests once more, alone" >&2
    .venv/bin/pytest -o cache_dir="$cache" "$@" -n 0 --last-failed --last-failed-no-failures none
    status=$?
fi
exit $status
