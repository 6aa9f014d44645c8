"""Twins: merge patches, versions, metadata and limits.

Source: IoT Hub developer guide, "Understand and use device twins in IoT Hub" (format, limits, metadata, back-end and
device operations).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from iot_core import limits
from iot_core.errors import TwinError
from iot_core.json_types import JsonObject

__all__ = ["Section", "SectionName", "document_size", "merge_patch", "patch_tags", "replace_tags", "validate_section"]

SectionName = Literal["tags", "desired", "reported"]

RESERVED_KEYS = frozenset({"$metadata", "$version"})
"""What the hub adds to a section when it is read; clients send it back and it is never stored."""
MAX_PATCH_DEPTH = 64
"""Levels `merge_patch` follows; far above what a twin may hold, and far below Python's recursion limit."""

_SECTION_BYTES: dict[str, int] = {
    "tags": limits.TAGS_BYTES,
    "desired": limits.DESIRED_BYTES,
    "reported": limits.REPORTED_BYTES,
}
_NUMBER_BYTES = 8
_BOOLEAN_BYTES = 4
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BAD_KEY = re.compile(r"[\x00-\x1f\x7f-\x9f.$# ]")


def merge_patch(target: JsonObject, patch: JsonObject) -> JsonObject:
    """A new object: `target` with `patch` merged in; neither is changed.

    Objects merge, None removes a key, everything else (arrays too) replaces. An object stays when its last key goes.
    Values that the patch does not touch are shared with `target`; those of the patch are copied. Raises TwinError when
    the patch is nested deeper than 64 levels.
    """
    return _merged(target, patch, MAX_PATCH_DEPTH)


def validate_section(section: SectionName, document: JsonObject) -> None:
    """Returns when `document` may stand in that section, as a whole or as a patch (None then means: remove).

    Raises TwinError that names the path for: bad keys, texts, integers or types, None in an array, too deep, too large.
    "$metadata" and "$version" on top of desired and reported are not looked at.
    """
    values = _without_reserved(document) if section != "tags" else document
    _check_value(values, section, 0)
    _check_size(section, values)


def document_size(document: JsonObject) -> int:
    """Bytes as IoT Hub counts them: UTF-8 of keys and texts without control characters, 8 a number, 4 a boolean."""
    return _size(document)


def patch_tags(tags: JsonObject, patch: JsonObject | None) -> JsonObject:
    """New tags after a patch; None clears them all. Raises TwinError, and then `tags` stand as they were."""
    if patch is None:
        return {}
    validate_section("tags", patch)
    merged = merge_patch(tags, patch)
    _check_size("tags", merged)
    return merged


def replace_tags(document: JsonObject | None) -> JsonObject:
    """Tags that are exactly `document`, without its None values; raises TwinError."""
    return patch_tags({}, document)


@dataclass(frozen=True, slots=True)
class Section:
    """Desired or reported properties with the metadata tree and version the hub keeps for them.

    `values` and `metadata` are to be read only: a change gives a new Section, which shares what did not change.
    """

    values: JsonObject = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)
    version: int = 1
    name: Literal["desired", "reported"] = "desired"

    @classmethod
    def new(cls, name: Literal["desired", "reported"], now_iso: str) -> Section:
        """An empty section, as in a twin just made: version 1."""
        return cls({}, {"$lastUpdated": now_iso}, 1, name)

    def patched(self, patch: JsonObject, now_iso: str) -> Section:
        """The section after a merge patch, its version one higher even when no value changed; raises TwinError."""
        patch = _without_reserved(patch)
        validate_section(self.name, patch)
        values = merge_patch(self.values, patch)
        _check_size(self.name, values)
        stamp = self._stamp(now_iso)
        return replace(
            self, values=values, metadata=_patched_metadata(self.metadata, patch, stamp), version=self.version + 1
        )

    def replaced(self, document: JsonObject, now_iso: str) -> Section:
        """The section holding exactly `document` without its None values, its version one higher; raises TwinError."""
        return replace(self, values={}, metadata={}).patched(document, now_iso)

    def view(self) -> JsonObject:
        """As a service reads it: the values with "$metadata" and "$version"."""
        return {**self.values, "$metadata": self.metadata, "$version": self.version}

    def device_view(self) -> JsonObject:
        """As the device reads it: the values with "$version"."""
        return {**self.values, "$version": self.version}

    def _stamp(self, now_iso: str) -> JsonObject:
        if self.name == "reported":
            return {"$lastUpdated": now_iso}
        return {"$lastUpdated": now_iso, "$lastUpdatedVersion": self.version + 1}


def _merged(target: Any, patch: JsonObject, levels: int) -> JsonObject:
    if levels == 0:
        raise TwinError(f"the patch is nested deeper than {MAX_PATCH_DEPTH} levels")
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key), value, levels - 1)
        else:
            result[key] = _copied(value, levels - 1)
    return result


def _copied(value: Any, levels: int) -> Any:
    if levels == 0:
        raise TwinError(f"the patch is nested deeper than {MAX_PATCH_DEPTH} levels")
    if isinstance(value, list):
        return [_copied(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {key: _copied(item, levels - 1) for key, item in value.items()}
    return value


def _patched_metadata(metadata: Any, patch: JsonObject, stamp: JsonObject) -> JsonObject:
    """Metadata of an object after `patch`: every node on the way to a change carries the new stamp."""
    node: JsonObject = {**metadata, **stamp} if isinstance(metadata, dict) else dict(stamp)
    for key, value in patch.items():
        if value is None:
            node.pop(key, None)
        elif isinstance(value, dict):
            node[key] = _patched_metadata(node.get(key), value, stamp)
        else:
            node[key] = dict(stamp)
    return node


def _without_reserved(document: JsonObject) -> JsonObject:
    if RESERVED_KEYS.isdisjoint(document):
        return document
    return {key: value for key, value in document.items() if key not in RESERVED_KEYS}


def _check_value(value: Any, path: str, depth: int) -> None:
    """Raises TwinError; `depth` is how many objects and arrays stand between the section and `value`."""
    match value:
        case dict():
            if depth > limits.TWIN_DEPTH:
                raise TwinError(f"{path}: objects may be nested {limits.TWIN_DEPTH} deep, no more")
            for key, item in value.items():
                _check_key(key, path)
                if item is not None:
                    _check_value(item, f"{path}.{key}", depth + 1)
        case list():
            _check_array(value, path, depth)
        case str():
            if _text_size(value) > limits.TWIN_STRING_BYTES:
                raise TwinError(f"{path}: a text may have {limits.TWIN_STRING_BYTES} bytes of UTF-8, no more")
        case bool():
            pass
        case int():
            if not limits.TWIN_INTEGER_MIN <= value <= limits.TWIN_INTEGER_MAX:
                raise TwinError(f"{path}: an integer must be from -4503599627370496 to 4503599627370495")
        case float():
            if not math.isfinite(value):
                raise TwinError(f"{path}: {value} is not a JSON number")
        case _:
            raise TwinError(f"{path}: a value of type {type(value).__name__} is not allowed in a twin")


def _check_array(items: list[Any], path: str, depth: int) -> None:
    if depth > limits.TWIN_DEPTH + 1:
        raise TwinError(f"{path}: objects and arrays may be nested {limits.TWIN_DEPTH} deep, no more")
    for index, item in enumerate(items):
        if item is None:
            raise TwinError(f"{path}[{index}]: null is not allowed inside an array")
        _check_value(item, f"{path}[{index}]", depth + 1)


def _check_key(key: Any, path: str) -> None:
    if not isinstance(key, str):
        raise TwinError(f"{path}: {key!r} is not a text: keys of a twin are texts")
    if _BAD_KEY.search(key) is not None:
        raise TwinError(f"{path}: key {key[:80]!r} holds a space, '.', '$', '#' or a control character")
    if _utf8_length(key) > limits.TWIN_KEY_BYTES:
        raise TwinError(f"{path}: a key may have {limits.TWIN_KEY_BYTES} bytes of UTF-8, no more")


def _check_size(section: SectionName, values: JsonObject) -> None:
    size, allowed = _size(values), _SECTION_BYTES[section]
    if size > allowed:
        raise TwinError(f"{section}: {size} bytes are too many, {allowed} are allowed")


def _size(value: Any) -> int:
    match value:
        case dict():
            return sum(_utf8_length(key) + _size(item) for key, item in value.items() if _counts(key, item))
        case list():
            return sum(map(_size, value))
        case str():
            return _text_size(value)
        case None:
            return 0
        case bool():
            return _BOOLEAN_BYTES
        case _:
            return _NUMBER_BYTES


def _counts(key: str, item: Any) -> bool:
    return item is not None and not key.startswith("$")


def _text_size(text: str) -> int:
    return _utf8_length(text if text.isascii() and text.isprintable() else _CONTROL.sub("", text))


def _utf8_length(text: str) -> int:
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise TwinError(f"{text[:40]!a} holds half of a surrogate pair: it is not valid Unicode") from None
