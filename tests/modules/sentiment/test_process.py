"""The sentiment module and the stand-in container, each as a process of its own, without a hub."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

HOST = "127.77.41.5"
LICENCE = {"Eula": "accept", "Billing": "https://stand-in.invalid", "ApiKey": "a-key"}
TEXTS = ["I love it.", "This is terrible.", "Works like a charm."]


@pytest.fixture
def port() -> int:
    """One that is free, and the same for a container that comes back."""
    with closing(socket.socket()) as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:
        try:
            yield process
        finally:
            process.kill()


def container(port: int) -> subprocess.Popen[str]:
    options = ["--host", HOST, "--port", str(port), *(f"{name}={value}" for name, value in LICENCE.items())]
    return subprocess.Popen(
        [sys.executable, "-m", "modules.sentiment_container", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def module(folder: Path, port: int) -> subprocess.Popen[str]:
    twin = folder / "twin.json"
    twin.write_text(json.dumps({"reportingInterval": 0.2, "endpoint": f"http://{HOST}:{port}", "breakerPause": 0.5}))
    options = ["--standalone", "--twin", twin, "--metrics-host", HOST, "--metrics-port", "0"]
    return subprocess.Popen(
        [sys.executable, "-m", "modules.sentiment", *map(str, options)],
        env={**os.environ, "SENTIMENT_SPOOL": str(folder / "spool")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def give(process: subprocess.Popen[str], texts: list[str]) -> None:
    assert process.stdin is not None
    for number, text in enumerate(texts):
        line = {"input": "texts", "body": {"text": text}, "system": {"messageId": f"m{number}"}}
        process.stdin.write(json.dumps(line) + "\n")
    process.stdin.flush()


def scored(process: subprocess.Popen[str], number: int) -> dict[str, str]:
    """The sentiments of the next texts that come out."""
    assert process.stdout is not None
    lines: list[Any] = [json.loads(process.stdout.readline()) for _ in range(number)]
    return {line["body"]["text"]: line["body"]["sentiment"] for line in lines}


def wait_for_metric(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stderr is not None
    url = f"http://{HOST}:{json.loads(process.stderr.readline())['port']}/metrics"
    deadline = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(url, timeout=5) as response:
            text = response.read().decode()
        if wanted in text.splitlines():
            return
        assert time.monotonic() < deadline, text
        time.sleep(0.05)


def test_it_stands_alone_beside_a_container_and_stops_within_five_seconds(tmp_path: Path, port: int) -> None:
    with ended(container(port)), ended(module(tmp_path, port)) as process:
        give(process, TEXTS)
        assert scored(process, 3) == dict(zip(TEXTS, ["positive", "negative", "positive"], strict=True))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_texts_that_waited_for_a_container_that_was_away_outlive_a_kill(tmp_path: Path, port: int) -> None:
    with ended(module(tmp_path, port)) as process:
        give(process, TEXTS)
        wait_for_metric(process, "edgeyard_sentiment_waiting_texts 3.0")
    with ended(module(tmp_path, port)) as process, ended(container(port)):
        assert scored(process, 3) == dict(zip(TEXTS, ["positive", "negative", "positive"], strict=True))


def test_a_container_that_goes_away_and_comes_back_costs_no_text(tmp_path: Path, port: int) -> None:
    with ended(module(tmp_path, port)) as process:
        with ended(container(port)):
            give(process, TEXTS[:1])
            assert scored(process, 1) == {TEXTS[0]: "positive"}
        give(process, TEXTS[1:2])
        wait_for_metric(process, "edgeyard_sentiment_waiting_texts 1.0")
        with ended(container(port)):
            assert scored(process, 1) == {TEXTS[1]: "negative"}


def test_without_an_edge_runtime_it_says_so_and_ends_with_2(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "SENTIMENT_SPOOL": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "modules.sentiment", "--metrics-port", "0"],
        capture_output=True, text=True, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: no IoT Edge runtime started this module")
