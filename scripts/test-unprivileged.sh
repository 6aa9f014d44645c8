#!/bin/sh
# Runs the acceptance tests as a user without rights: no port 443, no root, a data folder of its own.
# As root it copies the tree to a folder that user can read, sets it up there as that user, and runs them there.
set -eu
cd "$(dirname "$0")/.."
# Not the jobs that go wrong and the rollouts: they reach the hub as those of test_jobs.py do, and take long.
left_out="--ignore tests/acceptance/test_jobs_on_a_faulty_hub.py --ignore tests/acceptance/test_two_operators.py
    --ignore tests/acceptance/test_rollout_orders.py --ignore tests/acceptance/test_rollout_devices.py"
run="sh scripts/pytest-again.sh -m acceptance -n auto --maxprocesses 4 --dist loadfile $left_out"

if [ "$(id -u)" != 0 ]; then
    exec $run
fi

folder=$(mktemp -d /tmp/edgeyard-unprivileged.XXXXXX)
trap 'rm -rf "$folder"' EXIT
git ls-files -z | tar --null -T - -cf - | tar -C "$folder" -xf -
mkdir "$folder/home"
chown -R nobody "$folder"

as_nobody() {
    (cd "$folder" && HOME="$folder/home" setpriv --reuid=nobody --regid=nogroup --clear-groups "$@")
}

can_use() {
    command -v "$1" >/dev/null 2>&1 && as_nobody "$1" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# An interpreter under root's home is closed to others: then Debian's own, with the part it ships apart.
python=$(command -v python3)
if ! can_use "$python"; then
    python=/usr/bin/python3
    can_use "$python" || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null
fi
as_nobody make --no-print-directory setup PYTHON="$python"
as_nobody $run
