"""A firing: what a rule saw, under a name that stays the same however often it is sent."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from iot_core.message import Message

__all__ = ["Firing", "firing_id", "packed", "unpacked"]

NAMESPACE: Final = uuid.UUID("6f1d2c0e-3b0f-4f55-9d2a-5a0b7f5a1c11")
"""Of firings that are named after a message."""


@dataclass(frozen=True, kw_only=True)
class Firing:
    """`id` is the idempotency key. `since` and `at` in unix seconds: when the condition became true, when it fired;
    `message` is the one that made the condition true."""

    id: str
    rule: str
    key: str
    since: float
    at: float
    input: str
    message: Message

    def encoded(self) -> bytes:
        """For the store."""
        parts = [self.id, self.rule, self.key, self.since, self.at, self.input, packed(self.message)]
        return orjson.dumps(parts)

    @classmethod
    def decoded(cls, content: bytes) -> Self:
        """What `encoded` gave."""
        identifier, rule, key, since, at, name, message = orjson.loads(content)
        return cls(id=identifier, rule=rule, key=key, since=since, at=at, input=name, message=unpacked(message))


def packed(message: Message) -> list[Any]:
    """A message as JSON values."""
    return [base64.b64encode(message.body).decode("ascii"), message.properties, message.system]


def unpacked(values: list[Any]) -> Message:
    """What `packed` gave."""
    body, properties, system = values
    return Message(base64.b64decode(body), properties, system)


def firing_id(rule: str, key: str, message: Message, *, each: bool) -> str:
    """A new name; for a rule that fires for every message, the same again when that message comes a second time, as
    far as its sender named it (messageId)."""
    parts: list[Any] = [rule, key, *(message.system.get(name) for name in ("messageId", "enqueuedTime"))]
    if each and parts[2]:
        return str(uuid.uuid5(NAMESPACE, orjson.dumps(parts).decode()))
    return str(uuid.uuid4())
