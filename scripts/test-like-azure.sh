#!/bin/sh
# Runs the tests of operators' tools again, on hubs that are as slow and as late as a real one of this tier and units:
# queries lag, calls are throttled.
set -eu
cd "$(dirname "$0")/.."

EDGEYARD_LIKE_AZURE=${EDGEYARD_LIKE_AZURE:-S2:10}
export EDGEYARD_LIKE_AZURE
echo "test-like-azure: every hub is one of $EDGEYARD_LIKE_AZURE"
# Four at a time on any machine: they wait more than they work.
# Not the kills at every step: between two of them the index of queries has to catch up.
sh scripts/pytest-strict.sh -n 4 --dist loadfile \
    --ignore tests/edgeyard/test_killed_jobs.py \
    tests/hub_tools tests/edgeyard tests/acceptance/test_commands.py tests/acceptance/test_jobs.py \
    tests/local_hub/fronts/test_monitor.py
