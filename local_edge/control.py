"""Asking a running edge, from another process: what runs, its logs, a restart. Plain functions for the command line.

`home` is the edge's home folder. NotRunningError when no edge answers there, EngineError for a module it does not have.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local_edge.control_protocol import MAX_LINE_BYTES, ModuleRow
from local_edge.engines.module_log import log_path, read_log
from local_edge.errors import EngineError, NotRunningError

__all__ = ["ModuleRow", "list_modules", "logs", "restart", "running_edges", "stop"]

ANSWER_WITHIN_S = 60.0
"""A restart waits for the module to stop, which may take 10 s and more behind other work."""
FOLLOW_PERIOD_S = 0.25


def list_modules(home: Path) -> list[ModuleRow]:
    """Every module with its state, agent and hub included, sorted by name."""
    return [ModuleRow(**row) for row in _ask(home, {"verb": "list"})]


def restart(home: Path, module: str) -> None:
    """Stop and start a module, whatever its restart policy says."""
    _ask(home, {"verb": "restart", "module": module})


def stop(home: Path) -> None:
    """Ask the edge to stop; returns when it has heard."""
    _ask(home, {"verb": "stop"})


def logs(home: Path, module: str, tail: int | None = None, follow: bool = False) -> Iterator[str]:
    """What a module printed, in pieces of whole lines; with `follow` it goes on until the caller stops asking.

    Works for an edge that is not running too. EngineError when the module never printed anything here.
    """
    path = log_path(home, module)
    if not path.exists():
        raise EngineError(f"no log of a module {module} in {home}")
    return _log_pieces(path, tail, follow)


def running_edges(edges: Path) -> list[Path]:
    """The homes below `edges` (…/edge) in which an edge answers now."""
    homes = sorted(path.parent for path in edges.glob("*/running.json"))
    return [home for home in homes if _answers(home)]


def _answers(home: Path) -> bool:
    try:
        _ask(home, {"verb": "list"})
    except NotRunningError:
        return False
    return True


def _ask(home: Path, request: dict[str, Any]) -> Any:
    try:
        path = json.loads((home / "running.json").read_text(encoding="utf-8"))["control"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_WITHIN_S)
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_line(connection))
    except (OSError, ValueError, KeyError):
        raise NotRunningError(f"no edge runs in {home}: start one with edgeyard edge run") from None
    if "error" in answer:
        raise EngineError(answer["error"])
    return answer["result"]


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n") and len(received) <= MAX_LINE_BYTES:
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    return received


def _log_pieces(path: Path, tail: int | None, follow: bool) -> Iterator[str]:
    stat = path.stat()
    position, inode = stat.st_size, stat.st_ino
    yield read_log(path, tail)
    while follow:
        time.sleep(FOLLOW_PERIOD_S)
        piece, position, inode = _grown(path, position, inode)
        if piece:
            yield piece


def _grown(path: Path, position: int, inode: int) -> tuple[str, int, int]:
    """What was added since `position`; a file that was turned is read from its start."""
    if not path.exists():
        return "", position, inode
    stat = path.stat()
    start = position if stat.st_ino == inode else 0
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    return data.decode("utf-8", "replace"), start + len(data), stat.st_ino
