"""How one twin changes, as functions of a record: no I/O (IoT Hub developer guide, "Understand and use device twins").

Each gives the new record, the patch its device must hear of, and the event; HubError ArgumentInvalid for a bad body,
PreconditionFailed for a stale etag or version, and then nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from iot_core.clock import iso
from iot_core.errors import TwinError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from iot_core.twin import Section, patch_tags, replace_tags
from local_hub.documents import twin_etag
from local_hub.preconditions import check_etag, precondition_failed, wanted_etag
from local_hub.rows import Record

__all__ = ["TwinChange", "difference", "patched", "replaced", "reported_patched", "with_desired"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinChange:
    """A twin after a write.

    ``before`` is the twin as it was; ``push`` is what the device must hear of; the other parts are what a change event
    carries, each None when its section was not touched; ``touched`` is False when the body had nothing to write.
    """

    record: Record
    before: Record | None = None
    push: JsonObject | None = None
    tags: JsonObject | None = None
    desired: JsonObject | None = None
    reported: JsonObject | None = None
    touched: bool = True


def patched(record: Record, body: JsonObject, if_match: str | None, now: float) -> TwinChange:
    """Merge the body's ``tags`` and ``properties.desired``; anything else in it is ignored."""
    check_etag(wanted_etag(if_match), twin_etag(record.twin_etag))
    with _twin_rules():
        return replace(_patched(record, body, now), before=record)


def replaced(record: Record, body: JsonObject, if_match: str | None, now: float) -> TwinChange:
    """Make ``tags`` and ``properties.desired`` exactly those of the body, empty where it has none."""
    check_etag(wanted_etag(if_match), twin_etag(record.twin_etag))
    with _twin_rules():
        return replace(_replaced(record, body, now), before=record)


def with_desired(record: Record, document: JsonObject, now: float) -> TwinChange:
    """Make the desired properties exactly ``document``; tags stay."""
    with _twin_rules():
        return replace(_with_desired(record, document, now), before=record)


def reported_patched(record: Record, patch: JsonObject, base_version: int | None, now: float) -> TwinChange:
    """Merge reported properties; the base version may also stand in the patch, as ``$version``."""
    wanted = patch.get("$version") if base_version is None else base_version
    if wanted is not None and wanted != record.reported.version:
        raise precondition_failed()
    with _twin_rules():
        reported = record.reported.patched(patch, iso(now))
    after = replace(record, reported=reported)
    return TwinChange(record=after, before=record, reported=_change_view(reported, patch))


def difference(old: JsonObject, new: JsonObject) -> JsonObject:
    """The merge patch that makes ``new`` of ``old``."""
    patch: JsonObject = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            if below := difference(before, value):
                patch[key] = below
        elif key not in old or not _same(before, value):
            patch[key] = value
    return patch


def _patched(record: Record, body: JsonObject, now: float) -> TwinChange:
    desired_patch = _desired_of(body)
    if "tags" not in body and desired_patch is None:
        return TwinChange(record=record, touched=False)
    tags = patch_tags(record.tags, _object_or_none(body["tags"], "tags")) if "tags" in body else record.tags
    desired = record.desired if desired_patch is None else record.desired.patched(desired_patch, iso(now))
    return TwinChange(
        record=_written(record, tags, desired),
        push=None if desired_patch is None else _push(desired_patch, desired),
        tags=body.get("tags"),
        desired=None if desired_patch is None else _change_view(desired, desired_patch),
    )


def _replaced(record: Record, body: JsonObject, now: float) -> TwinChange:
    tags = replace_tags(_object_or_none(body.get("tags"), "tags"))
    change = _with_desired(record, _desired_of(body) or {}, now)
    return replace(change, record=replace(change.record, tags=tags), tags=tags)


def _with_desired(record: Record, document: JsonObject, now: float) -> TwinChange:
    desired = record.desired.replaced(document, iso(now))
    return TwinChange(
        record=_written(record, record.tags, desired),
        push=_push(difference(record.desired.values, desired.values), desired),
        desired=desired.view(),
    )


def _written(record: Record, tags: JsonObject, desired: Section) -> Record:
    return replace(record, tags=tags, desired=desired, twin_etag=record.twin_etag + 1, version=record.version + 1)


def _desired_of(body: JsonObject) -> JsonObject | None:
    properties = _object_or_none(body.get("properties"), "properties") or {}
    if "desired" not in properties:
        return None
    return _object_or_none(properties["desired"], "properties.desired") or {}


def _object_or_none(value: Any, name: str) -> JsonObject | None:
    if value is not None and not isinstance(value, dict):
        raise hub_error("ArgumentInvalid", f"{name} must be an object.")
    return value


def _push(patch: JsonObject, desired: Section) -> JsonObject:
    own = {key: value for key, value in patch.items() if key not in ("$metadata", "$version")}
    return {**own, "$version": desired.version}


def _change_view(section: Section, patch: JsonObject) -> JsonObject:
    """The changed values with their own metadata, as a change event carries them."""
    own = {key: value for key, value in patch.items() if not key.startswith("$")}
    kept = {key: node for key, node in section.metadata.items() if key.startswith("$") or key in own}
    return {**own, "$metadata": kept, "$version": section.version}


def _same(one: Any, other: Any) -> bool:
    """Equal and of one JSON type: 1 is neither true nor 1.0."""
    return type(one) is type(other) and bool(one == other)


@contextmanager
def _twin_rules() -> Iterator[None]:
    try:
        yield
    except TwinError as error:
        raise hub_error("ArgumentInvalid", str(error)) from error
