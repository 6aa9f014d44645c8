"""What this machine knows of a stack: what is in force, and the operation that is under way, in one locked folder.

    .edgeyard/stacks/<stack>/<environment>/state.json, history/NNNN.json, lock

No file holds a secret. Every write is synced before it counts, so that whatever ends the process, the next one knows
how far it came.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from iot_core.errors import InputError
from iot_core.json_types import JsonObject
from transport.folder_lock import FolderLock

__all__ = [
    "Amendment",
    "Journal",
    "Operation",
    "Phase",
    "Settlement",
    "StackFolder",
    "State",
    "StateError",
    "read_document",
    "write_document",
]

FORMAT = 1
FOLDER_MODE, FILE_MODE = 0o700, 0o600

Phase = Literal["trial", "commit"]
"""On trial the old deployments are all there, so that the new can be taken back; from commit on the old ones go."""


class StateError(InputError):
    """The local state cannot be used; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """A change in place of target, priority, labels or metrics."""

    id: str
    before: JsonObject
    after: JsonObject


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What a configuration has once the old ones are gone: its own priority, and labels without the mark of a trial."""

    id: str
    fields: JsonObject


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One `up` on its way; `step` is what was about to be done when this was written.

    `token` marks what it makes in the hub, so that it takes back nothing that another operator has made since.
    """

    token: str
    version: int
    phase: Phase
    creations: tuple[str, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    deletions: tuple[str, ...] = ()
    settlements: tuple[Settlement, ...] = ()
    step: str = ""

    @classmethod
    def from_json(cls, document: JsonObject) -> Operation:
        return cls(
            token=document["token"],
            version=document["version"],
            phase=document["phase"],
            creations=tuple(document["creations"]),
            amendments=tuple(Amendment(**item) for item in document["amendments"]),
            deletions=tuple(document["deletions"]),
            settlements=tuple(Settlement(**item) for item in document["settlements"]),
            step=document["step"],
        )


@dataclass(frozen=True, kw_only=True)
class State:
    """`current` is the version of the history in force, None while nothing is; `last` the newest that ever was;
    `lease` the token by which this machine's leases are known.
    """

    hub: str
    current: int | None = None
    last: int = 0
    lease: str | None = None
    operation: Operation | None = None
    format: int = field(default=FORMAT)


class StackFolder:
    """The folder of a stack's environment; a context that holds its lock. FolderLockedError when another has it."""

    def __init__(self, home: Path, stack: str, environment: str) -> None:
        self.path = home / "stacks" / stack / environment
        self._lock = FolderLock(self.path / "lock")

    def __enter__(self) -> StackFolder:
        self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._lock.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    @property
    def history(self) -> Path:
        return self.path / "history"

    def load(self, hub: str | None = None) -> State:
        """The state, empty where none was kept; StateError when it is of another hub than the one given, or cannot be
        read.
        """
        if not self.state_file.is_file():
            return State(hub=hub or "")
        document = read_document(self.state_file)
        try:
            operation = document["operation"]
            state = State(**{**document, "operation": Operation.from_json(operation) if operation else None})
        except (KeyError, TypeError) as error:
            raise StateError(f"{self.state_file} is damaged ({error}): move it away; it is made again") from None
        if state.format != FORMAT:
            raise StateError(f"{self.state_file} is of format {state.format}; this version reads {FORMAT}")
        if hub is not None and state.hub != hub:
            raise StateError(f"{self.path} is about the hub {state.hub}, not {hub}: move it away, or choose that hub")
        return state

    def save(self, state: State) -> None:
        """Returns once it is on the disk."""
        write_document(self.state_file, asdict(state))


class Journal:
    """The state while an operation changes it; each step is on the disk before it is done."""

    def __init__(self, folder: StackFolder, hub: str) -> None:
        self.folder = folder
        self.state = folder.load(hub)

    def change(self, **fields: Any) -> None:
        """Keep other fields of the state."""
        self.state = replace(self.state, **fields)
        self.folder.save(self.state)

    def step(self, text: str, *, phase: Phase | None = None) -> None:
        """Note what is about to be done, in the operation that is under way."""
        if self.state.operation is not None:
            operation = replace(self.state.operation, step=text, phase=phase or self.state.operation.phase)
            self.change(operation=operation)


def read_document(file: Path) -> JsonObject:
    """A JSON object from a file; StateError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StateError(f"{file} cannot be read ({error}): move it away; it is made again") from None
    if not isinstance(document, dict):
        raise StateError(f"{file} is no JSON object: move it away; it is made again")
    return document


def write_document(file: Path, document: JsonObject) -> None:
    """Put the file in place whole and synced, readable by its owner only."""
    file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    coming = file.with_name(f".{file.name}.new")
    descriptor = os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    coming.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
