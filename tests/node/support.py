"""A Node.js process that uses Azure's SDKs as it is told, and the admin door of the hub."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_hub.home import HubHome
from tests.acceptance.support import RunningHub, clean

FOLDER = Path(__file__).parent


class SdkError(Exception):
    """What a call of the SDK ended with; `name` is the SDK's name of the error."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Peer:
    """Calls into peer.js, one at a time, and the events that come from it."""

    def __init__(self, hub: RunningHub, *, trusts: Sequence[Path] = ()) -> None:
        """``trusts`` are PEM files; none: the hub's own authority."""
        authorities = trusts or (HubHome(hub.home).authority,)
        bundle = hub.home / "node-trusts.pem"
        bundle.write_bytes(b"".join(file.read_bytes() for file in authorities))
        environment = {**clean(hub.home), "NODE_EXTRA_CA_CERTS": str(bundle)}
        self._process = subprocess.Popen(
            ["node", "peer.js"],
            cwd=FOLDER,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._calls = 0
        self._events = deque[dict[str, Any]]()

    def call(self, name: str, *arguments: Any) -> Any:
        """The result of a call; SdkError when it failed."""
        assert self._process.stdin is not None
        self._calls += 1
        self._process.stdin.write(json.dumps([self._calls, name, *arguments]) + "\n")
        self._process.stdin.flush()
        while (answer := self._next()).get("id") != self._calls:
            self._events.append(answer)
        if "error" in answer:
            raise SdkError(**answer["error"])
        return answer["result"]

    def event(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """The oldest event of a kind, and of one client, that was not given yet; waits for one."""
        while True:
            for seen in self._events:
                if seen.get("event") == kind and seen.get("name") == name:
                    self._events.remove(seen)
                    return seen
            self._events.append(self._next())

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=10) == 0
        self._process.stdout.close()

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"node ended with {self._process.wait(timeout=10)}"
        document: dict[str, Any] = json.loads(line)
        return document


class Door:
    """The admin door of the hub."""

    def __init__(self, hub: RunningHub) -> None:
        files = HubHome(hub.home)
        running = json.loads(files.running.read_text())
        self._url = f"http://{running['admin_host']}:{running['admin_port']}"
        self._headers = {"Authorization": f"Bearer {files.admin_token.read_text()}", "Content-Type": "application/json"}

    def call(self, path: str, body: Any = None) -> Any:
        """GET, or POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, headers=self._headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)
