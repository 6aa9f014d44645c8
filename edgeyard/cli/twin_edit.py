"""Editing a twin as text: what may be edited, the editor, what changed, and a text that is never lost."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_tools.service import HubUnreachableError, Json
from hub_tools.twin_difference import patch_between
from iot_core.errors import EdgeyardError, HubError, InputError
from iot_core.twin import validate_section

__all__ = ["EditedTwin", "edit_text", "kept", "starting_text"]

FALLBACK_EDITOR = "vi"
STALE = 412


@dataclass(frozen=True, kw_only=True)
class EditedTwin:
    """The merge patch that brings the twin to the edited text; empty when nothing was changed."""

    patch: Json

    @classmethod
    def read(cls, text: str, twin: Json) -> EditedTwin:
        """InputError (or TwinError) that names the place for a text that is no such twin."""
        before = _editable(twin)
        after = _parsed(text)
        tags = patch_between(before["tags"], after["tags"])
        desired = patch_between(before["properties"]["desired"], after["properties"]["desired"])
        patch: Json = {"tags": tags} if tags else {}
        return cls(patch={**patch, **({"properties": {"desired": desired}} if desired else {})})

    def described(self, identity: str) -> str:
        """What was done, in a line."""
        if not self.patch:
            return f"{identity}: nothing was changed."
        names = [f"tags.{name}" for name in self.patch.get("tags", {})]
        names += [f"desired.{name}" for name in self.patch.get("properties", {}).get("desired", {})]
        return f"{identity}: changed {', '.join(sorted(names))}."


def starting_text(twin: Json, again: Path | None) -> str:
    """What the editor opens: the twin's tags and desired properties, or a text that was kept."""
    if again is None:
        return json.dumps(_editable(twin), indent=2, ensure_ascii=False) + "\n"
    try:
        return again.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{again} cannot be read: {error}") from None


@contextmanager
def kept(identity: str, text: str) -> Iterator[Path]:
    """A file of one's own with the text; it goes when all went well, and is named in the error when not."""
    folder = Path(tempfile.mkdtemp(prefix="edgeyard-twin-"))
    file = folder / f"{identity.replace('/', '_')}.json"
    file.write_text(text, encoding="utf-8")
    try:
        yield file
    except HubError as error:
        if error.status == STALE:
            again = f"edgeyard twin edit {identity} --from {file}"
            raise _kept(f"{identity} was changed by someone else meanwhile", file, again) from error
        raise _kept(str(error), file) from error
    except HubUnreachableError as error:
        raise HubUnreachableError(str(_kept(str(error), file))) from error
    except (EdgeyardError, OSError) as error:
        raise InputError(str(_kept(str(error), file))) from error
    shutil.rmtree(folder)


def edit_text(file: Path) -> str:
    """What the file holds when the editor has ended; InputError when it cannot be run or ends with an error."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK_EDITOR
    try:
        code = subprocess.run([*shlex.split(command), str(file)], check=False).returncode
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"the editor {command!r} (VISUAL, EDITOR) cannot be run: {error}") from None
    if code != 0:
        raise InputError(f"the editor {command!r} ended with {code}, so nothing was changed")
    return text


def _kept(reason: str, file: Path, again: str = "") -> EdgeyardError:
    hint = f"; look at both and go on with: {again}" if again else ""
    return EdgeyardError(f"{reason}. Your text is kept in {file}{hint}")


def _editable(twin: Json) -> Json:
    desired = twin.get("properties", {}).get("desired", {})
    own = {name: value for name, value in desired.items() if not name.startswith("$")}
    return {"tags": twin.get("tags", {}), "properties": {"desired": own}}


def _parsed(text: str) -> Json:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise InputError(f"the edited text is not JSON: {error}") from None
    shape = 'write {"tags": {…}, "properties": {"desired": {…}}}'
    if not isinstance(document, dict) or set(document) - {"tags", "properties"}:
        raise InputError(f"the edited text is no twin: {shape}")
    properties = document.get("properties", {})
    if not isinstance(properties, dict) or set(properties) - {"desired"}:
        raise InputError(f"the edited text is no twin: {shape}; reported properties are the device's own")
    tags, desired = document.get("tags", {}), properties.get("desired", {})
    if not isinstance(tags, dict) or not isinstance(desired, dict):
        raise InputError(f"the edited text is no twin: {shape}")
    validate_section("tags", tags)
    validate_section("desired", desired)
    return {"tags": tags, "properties": {"desired": desired}}
