"""SIGKILL in the middle of work, again and again: no window is lost, none is doubled."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("crash_child.py")
MESSAGES = 1_100
KILLS = 4


class EdgeHub:
    """Sends every message until it is acknowledged, some twice; keeps results by id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._random = random.Random(5)
        self.acknowledged: set[int] = set()
        self.results: dict[str, dict[str, Any]] = {}
        self.sent_twice = 0

    def run(self, messages: list[dict[str, Any]], *, kill_after: int | None) -> None:
        """Deliver what is not acknowledged (and a few others) to a new process; kill it after so many lines, when
        it has just sent a result."""
        due = [m for m in messages if m["n"] not in self.acknowledged or self._random.random() < 0.02]
        command = [sys.executable, str(CHILD), str(self._folder)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, env={"PYTHONPATH": str(PROJECT)}) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(b"".join(json.dumps(m).encode() + b"\n" for m in due))
            child.stdin.close()
            for count, line in enumerate(child.stdout):
                if line.endswith(b"\n"):  # A kill may cut the last one short.
                    self._heard(*json.loads(line))
                if kill_after is not None and count >= kill_after and b'"sent"' in line:
                    child.kill()
            assert child.wait(30) == (0 if kill_after is None else -signal.SIGKILL)

    def _heard(self, kind: str, content: Any) -> None:
        if kind == "ack":
            self.acknowledged.add(content)
            return
        before = self.results.setdefault(content["id"], content)
        self.sent_twice += before is not content
        assert before == content  # The same id always says the same.


def test_no_window_is_lost_and_none_is_doubled(tmp_path: Path, stands: Any) -> None:
    messages: list[dict[str, Any]] = [{"n": n, "t": n / 10, "m": "ab"[n % 2], "v": n} for n in range(MESSAGES)]
    last = {"n": MESSAGES, "t": 10_000, "m": "end", "v": 0}
    hub = EdgeHub(tmp_path)
    for _ in range(KILLS):
        hub.run(messages, kill_after=200)
    hub.run([*messages, last], kill_after=None)
    expected: Counter[tuple[int, str]] = Counter()
    for message in messages:
        expected[message["n"] // 100, message["m"]] += message["v"]
    final = stands(sorted(hub.results.values(), key=lambda result: result["revision"]))
    assert sorted(values["sum"] for values in final.values()) == sorted(expected.values())
    assert len(hub.acknowledged) == MESSAGES + 1
    assert hub.sent_twice  # Killed between a result and the note of it: the same id tells the consumer.
