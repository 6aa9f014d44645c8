#!/bin/sh
# Builds the images of the modules with a container engine and runs them. DOCKER_HOST names an engine; without it, root on
# Debian or Ubuntu gets one of its own that listens on a socket in a temporary folder and ends with the tests.
# Where no engine can be had, it says so and tests nothing.
set -eu
cd "$(dirname "$0")/.."

BASE=python:3.11-slim-bookworm

# The engine leaves its network's name mounted, now and then; nothing of that says anything about the tests.
end_engine() {
    kill $engine 2>/dev/null || true
    wait $engine || true
    umount "$folder/exec/netns/default" 2>/dev/null || true
    rm -rf "$folder" || true
}

own_engine() {
    if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        return 1
    fi
    if ! command -v dockerd >/dev/null 2>&1; then
        echo "test-containers: installing docker.io"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io; } \
            >/dev/null 2>&1 || return 1
    fi
    folder=$(mktemp -d)
    dockerd --data-root "$folder/data" --exec-root "$folder/exec" -p "$folder/pid" -H "unix://$folder/socket" \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false >"$folder/log" 2>&1 &
    engine=$!
    trap end_engine EXIT
    DOCKER_HOST="unix://$folder/socket"
    export DOCKER_HOST
    for _ in $(seq 100); do
        docker version >/dev/null 2>&1 && return 0
        kill -0 $engine 2>/dev/null || break
        sleep 0.1
    done
    tail -3 "$folder/log" >&2
    return 1
}

# The base image from its registry, else made of this distribution's own packages with this machine's authorities.
base_image() {
    docker image inspect $BASE >/dev/null 2>&1 && return 0
    docker pull -q $BASE >/dev/null 2>&1 && return 0
    echo "test-containers: $BASE cannot be pulled: making one with debootstrap"
    if ! command -v debootstrap >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null 2>&1 || return 1
    fi
    root=$(mktemp -d)
    mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
    debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates bookworm "$root" "$mirror" \
        >/dev/null 2>&1 || return 1
    ln -s /usr/bin/python3 "$root/usr/local/bin/python"
    authorities=/etc/ssl/certs/ca-certificates.crt
    cp $authorities "$root$authorities"
    tar -C "$root" -cf - . | docker import -c "ENV PIP_CERT=$authorities" -c "ENV SSL_CERT_FILE=$authorities" - $BASE \
        >/dev/null
    rm -rf "$root"
}

if [ -z "${DOCKER_HOST:-}" ] && ! docker version >/dev/null 2>&1 && ! own_engine; then
    echo "test-containers: NOT RUN: no container engine starts here. Set DOCKER_HOST to use one." >&2
    exit 0
fi
if ! base_image; then
    echo "test-containers: NOT RUN: $BASE can be neither pulled nor made here." >&2
    exit 0
fi
sh scripts/pytest-strict.sh -m containers -o faulthandler_timeout=900
