#!/bin/sh
# Drives the local hub with Azure's SDKs for Node.js, and with the TPM of swtpm. As root it installs both where they are
# missing; no package of npm runs anything of its own while it is installed.
set -eu
cd "$(dirname "$0")/.."

OLDEST=18

if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "test-node: Node.js $OLDEST or newer with npm is needed (on Debian and Ubuntu: sudo apt-get install nodejs npm)" >&2
        exit 1
    fi
    echo "test-node: installing nodejs and npm"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm; } >/dev/null
fi
if ! command -v swtpm >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "test-node: swtpm is needed (on Debian and Ubuntu: sudo apt-get install swtpm)" >&2
        exit 1
    fi
    echo "test-node: installing swtpm"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends swtpm; } >/dev/null
fi
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt "$OLDEST" ]; then
    echo "test-node: Node.js $(node --version) is too old: $OLDEST or newer is needed" >&2
    exit 1
fi
packages=tests/node/node_modules
if [ ! "$packages/.package-lock.json" -nt tests/node/package-lock.json ]; then
    npm ci --prefix tests/node --ignore-scripts --no-audit --no-fund --loglevel=error
    touch "$packages/.package-lock.json"
fi
sh scripts/pytest-strict.sh -m node
