#!/bin/sh
# Makes .venv with everything of requirements.lock: by uv where it is installed, else by venv and pip.
# PYTHON names the interpreter to use; without it the first Python 3.11 to 3.13 found is taken.
set -eu
cd "$(dirname "$0")/.."

suits() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

with_uv() {
    uv venv --quiet --clear --python "$1" .venv
    uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
    uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
}

with_pip() {
    if "$1" -m venv --clear .venv >/dev/null 2>&1; then
        pip=".venv/bin/python -m pip"
    elif "$1" -m pip --version >/dev/null 2>&1; then
        # Debian ships Python without ensurepip: its own pip can fill a venv that has none.
        "$1" -m venv --clear --without-pip .venv
        pip="$1 -m pip --python .venv/bin/python"
    else
        echo "setup: $1 has neither ensurepip nor pip. Install uv (or, on Debian, python3-venv) and run it again." >&2
        exit 1
    fi
    PIP_DISABLE_PIP_VERSION_CHECK=1
    export PIP_DISABLE_PIP_VERSION_CHECK
    $pip install --quiet --use-pep517 --require-hashes -r requirements.lock
    $pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
}

python=$(find_python)
if [ -z "$python" ]; then
    echo "setup: no Python 3.11, 3.12 or 3.13 was found. Install one, or name it: make setup PYTHON=/path/to/python3" >&2
    exit 1
fi
rm -f .venv/.ready
if command -v uv >/dev/null 2>&1; then
    echo "setup: making .venv with uv and $python"
    with_uv "$python"
else
    echo "setup: making .venv with pip and $python (takes a minute the first time)"
    with_pip "$python"
fi
touch .venv/.ready
