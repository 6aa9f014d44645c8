"""The entries of the journal: everything that changes the engine's state, as bytes.

One byte says what it is; numbers are little-endian, times are microseconds.

    M  arrival (8 bytes), length of the header (4), header: JSON [properties, system], body
    S  a silence: up to (8), since (8)
    D  definitions: JSON {"generation", "rememberedIds", "definitions"}
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from iot_core.errors import StoreError
from iot_core.message import Message
from modules.aggregator.settings import Definition

__all__ = ["Arrived", "Configured", "Entry", "Silence", "decode", "encode"]

_ARRIVED, _SILENCE, _CONFIGURED = b"M", b"S", b"D"
_MESSAGE_HEAD = struct.Struct("<cqI")
_SILENCE_BODY = struct.Struct("<cqq")


@dataclass(slots=True)  # Not frozen: one is made of every message, and that would take three times as long.
class Arrived:
    """A message came."""

    arrival: int
    message: Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """Nothing came up to `now`, nor since `since`."""

    now: int
    since: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Configured:
    """These definitions count from here on."""

    generation: str
    remembered_ids: int
    definitions: Mapping[str, Definition]


Entry: TypeAlias = Arrived | Silence | Configured


def encode(entry: Entry) -> bytes:
    """As it stands in the journal."""
    if isinstance(entry, Arrived):
        message = entry.message
        header = orjson.dumps((message.properties, message.system))
        return b"".join((_MESSAGE_HEAD.pack(_ARRIVED, entry.arrival, len(header)), header, message.body))
    if isinstance(entry, Silence):
        return _SILENCE_BODY.pack(_SILENCE, entry.now, entry.since)
    return _CONFIGURED + orjson.dumps(_document(entry))


def decode(data: bytes) -> Entry:
    """What `encode` gave; StoreError for anything else."""
    try:
        match data[:1]:
            case b"M":
                _, arrival, length = _MESSAGE_HEAD.unpack_from(data)
                start = _MESSAGE_HEAD.size
                properties, system = orjson.loads(data[start : start + length])
                return Arrived(arrival, Message(data[start + length :], properties, system))
            case b"S":
                _, now, since = _SILENCE_BODY.unpack(data)
                return Silence(now=now, since=since)
            case b"D":
                return _configured(orjson.loads(data[1:]))
    except (struct.error, ValueError, KeyError) as error:
        raise StoreError(f"the aggregator's journal has an entry that cannot be read: {error}") from error
    raise StoreError(f"the aggregator's journal has an entry of an unknown kind {data[:1]!r}: use a newer edgeyard")


def _document(entry: Configured) -> dict[str, Any]:
    return {
        "generation": entry.generation,
        "rememberedIds": entry.remembered_ids,
        "definitions": {name: one.model_dump(mode="json", by_alias=True) for name, one in entry.definitions.items()},
    }


def _configured(document: dict[str, Any]) -> Configured:
    return Configured(
        generation=document["generation"],
        remembered_ids=document["rememberedIds"],
        definitions={name: Definition.model_validate(one) for name, one in document["definitions"].items()},
    )
