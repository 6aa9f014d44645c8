"""createOptions: container options as JSON text in the settings of a module, cut into chunks that fit a twin.

    "settings": {"image": "…", "createOptions": "{\\"HostConfig\\":…", "createOptions01": "…", "createOptions02": "…"}

Source: IoT Edge documentation, "How to configure container create options for IoT Edge modules"; the join rule is that
of the IoT Edge agent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from iot_core import limits
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject

__all__ = ["chunk_options", "is_options_key", "join_options", "parse_options"]

KEY = "createOptions"
MAX_JSON_CHARACTERS = 1_000_000
"""Refused before parsing; far above the 51,200 characters that the agent reads."""

_CHUNK_KEY = re.compile(r"createOptions(\d*)", re.IGNORECASE | re.ASCII)
_LAST_BMP = 0xFFFF


def is_options_key(name: str) -> bool:
    """Whether a key of a module's settings is createOptions or one of its chunks, in any case."""
    return _CHUNK_KEY.fullmatch(name) is not None


def chunk_options(
    options: JsonObject | str, *, max_chunks: int = limits.CREATE_OPTIONS_CHUNKS, path: str = KEY
) -> dict[str, str]:
    """The settings that hold `options` (an object, or its JSON text): createOptions, createOptions01, …

    The JSON is compact and each chunk has at most 512 UTF-16 units. Raises ManifestError for text that is no JSON
    object and for more than `max_chunks` chunks; deployment tools stop at 8, the agent reads up to 100.
    """
    value = _loads(options, path) if isinstance(options, str) else options
    chunks = _cut(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
    if len(chunks) > min(max_chunks, limits.CREATE_OPTIONS_CHUNKS_AGENT):
        raise ManifestError(
            f"createOptions need {len(chunks)} chunks of {limits.CREATE_OPTIONS_CHUNK_CHARACTERS} characters, "
            f"{max_chunks} are allowed: shorten them or allow more (the agent reads 100)",
            path=path,
        )
    return {f"{KEY}{index:02d}" if index else KEY: chunk for index, chunk in enumerate(chunks)}


def join_options(settings: Mapping[str, Any], *, path: str = "settings") -> str:
    """The whole text of createOptions, as the agent joins it; empty when there is none.

    Keys count in any case; their numbers must be none, 1, 2, 3 … Raises ManifestError for a gap, a missing first chunk
    and a value that is not text.
    """
    numbered = sorted((match[1], name) for name in settings if (match := _CHUNK_KEY.fullmatch(name)) is not None)
    if len(numbered) > limits.CREATE_OPTIONS_CHUNKS_AGENT:
        raise ManifestError(f"{len(numbered)} chunks of createOptions: the agent reads 100", path=path)
    for position, (number, name) in enumerate(numbered):
        if (number != "") if position == 0 else (number == "" or int(number) != position):
            wanted = f"{KEY}{position:02d}" if position else KEY
            raise ManifestError(
                f"found where {wanted} should be: number the chunks without a gap", path=f"{path}.{name}"
            )
        if not isinstance(settings[name], str):
            raise ManifestError("must be text that holds JSON, not JSON itself", path=f"{path}.{name}")
    return "".join(settings[name] for _, name in numbered)


def parse_options(settings: Mapping[str, Any], *, path: str = "settings") -> JsonObject:
    """The createOptions in a module's settings; blank text and "null" are {}. Raises ManifestError."""
    return _loads(join_options(settings, path=path), f"{path}.{KEY}")


def _loads(text: str, path: str) -> JsonObject:
    if len(text) > MAX_JSON_CHARACTERS:
        raise ManifestError(f"longer than {MAX_JSON_CHARACTERS} characters", path=path)
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"is not JSON once joined: {error}", path=path) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ManifestError(f"holds a JSON {type(value).__name__}, not an object", path=path)
    return value


def _cut(text: str) -> list[str]:
    """Pieces of at most 512 UTF-16 units; a pair of surrogates stays whole."""
    chunks, start, units = [], 0, 0
    for index, character in enumerate(text):
        width = 2 if ord(character) > _LAST_BMP else 1
        if units + width > limits.CREATE_OPTIONS_CHUNK_CHARACTERS:
            chunks.append(text[start:index])
            start, units = index, 0
        units += width
    return [*chunks, text[start:]]
