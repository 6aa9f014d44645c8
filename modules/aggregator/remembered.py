"""The ids of the messages that came last, to know one that comes a second time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Self

from iot_core.message import Message

__all__ = ["RememberedIds"]

LONGEST = 128  # Characters of a message id ("Create and read IoT Hub messages", "System properties").


class RememberedIds:
    """The last `limit` ids, of each sender apart; a message without an id is never known."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()

    def has_seen(self, message: Message) -> bool:
        """Whether the message came before; from now on it did."""
        system = message.system
        identifier = system.get("messageId")
        if not identifier or not self.limit:
            return False
        if len(identifier) > LONGEST:
            identifier = hashlib.sha256(identifier.encode()).hexdigest()
        known = f"{system.get('connectionDeviceId', '')}/{system.get('connectionModuleId', '')}/{identifier}"
        if known in self._ids:
            return True
        self._ids[known] = None
        if len(self._ids) > self.limit:
            self._ids.popitem(last=False)
        return False

    def resize(self, limit: int) -> None:
        """Remember so many from now on."""
        self.limit = limit
        while len(self._ids) > limit:
            self._ids.popitem(last=False)

    def dump(self) -> list[Any]:
        """As JSON; `load` reads it."""
        return [self.limit, list(self._ids)]

    @classmethod
    def load(cls, state: Sequence[Any]) -> Self:
        """What `dump` wrote."""
        limit, known = state
        ids = cls(limit)
        ids._ids = OrderedDict.fromkeys(known)
        return ids
