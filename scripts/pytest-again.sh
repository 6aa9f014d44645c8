#!/bin/sh
# Runs pytest with the arguments given. The tests that failed get one more run, alone: on a busy machine a deadline can
# pass for no fault of the code's. What fails twice has failed; what passes then is named above, as a race to be mended.
set -u
cd "$(dirname "$0")/.."

.venv/bin/pytest --cache-clear "$@"
status=$?
if [ $status != 1 ]; then
    exit $status
fi
echo "test: the failed tests once more, alone" >&2
exec .venv/bin/pytest "$@" -n 0 --last-failed --last-failed-no-failures none
