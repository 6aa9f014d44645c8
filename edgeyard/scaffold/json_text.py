"""Adding a member to an object in JSON text, without touching how the rest is written.

Values may be template variables without quotes (`${PORT}`), as deployment templates allow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from iot_core.errors import ManifestError

__all__ = ["insert_member"]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SPACE = re.compile(r"\s*")
_SCALAR = re.compile(r"(?:\$\{[^}]*\}|[^,\]}\s])+")
STEP = 2


def insert_member(text: str, path: Sequence[str], name: str, value: Any) -> str:
    """The text with the member `name` at the end of the object at `path`; ManifestError where there is no such object,
    or it has the member already."""
    start = _space(text, 0)
    for key in path:
        found = _member(text, start, key)
        if found is None:
            raise ManifestError("is missing", path=".".join(path[: path.index(key) + 1]))
        start = found
    if _member(text, start, name) is not None:
        raise ManifestError("is there already", path=".".join([*path, name]))
    return _inserted(text, start, _end(text, start) - 1, name, value)


def _inserted(text: str, start: int, brace: int, name: str, value: Any) -> str:
    """The member before the closing brace, in the style of the members before it."""
    body = text[start + 1 : brace].rstrip()
    line = text.rfind("\n", 0, brace) + 1
    if text[line:brace].strip() or line <= start:
        member = f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        return text[: start + 1] + body + (", " if body.strip() else "") + member + text[brace:]
    closing = text[line:brace]
    indent = closing + " " * STEP
    written = json.dumps(value, indent=STEP, ensure_ascii=False).replace("\n", f"\n{indent}")
    member = f"\n{indent}{json.dumps(name)}: {written}\n{closing}"
    return text[: start + 1] + body + ("," if body.strip() else "") + member + text[brace:]


def _member(text: str, start: int, name: str) -> int | None:
    """Where the value of a member of the object at `start` begins."""
    if text[start : start + 1] != "{":
        raise ManifestError(f"is not an object: {name!r} cannot be looked up in it")
    position = _space(text, start + 1)
    while text[position] != "}":
        key, position = _string(text, position)
        position = _space(text, _space(text, position) + 1)
        if key == name:
            return position
        position = _space(text, _end(text, position))
        position = _space(text, position + 1) if text[position] == "," else position
    return None


def _end(text: str, start: int) -> int:
    """Where the value at `start` ends."""
    if text[start] == '"':
        return _string(text, start)[1]
    if text[start] not in "{[":
        match = _SCALAR.match(text, start)
        return match.end() if match else start + 1
    closing = {"{": "}", "[": "]"}[text[start]]
    position = _space(text, start + 1)
    while text[position] != closing:
        position = _space(text, position + 1) if text[position] in ",:" else _space(text, _end(text, position))
    return position + 1


def _string(text: str, start: int) -> tuple[str, int]:
    match = _STRING.match(text, start)
    if match is None:
        raise ManifestError(f"has no text where one has to be, at character {start}")
    return json.loads(match[0]), match.end()


def _space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start
