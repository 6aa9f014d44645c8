"""Who reads a partition in a consumer group, and who must give way (Event Hubs documentation, "Event consumers").

    newcomer          | among readers without a level | an owner of its level or lower | of a higher level
    without a level   | comes in; five at most        | refused                        | refused
    owner of a level  | comes in, they are told to go | comes in, that is told to go   | refused

An owner level is what AMQP links carry as their epoch. No sockets here: a reader is told to go by the function that it
came with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iot_core.errors import EdgeyardError
from iot_core.limits import READERS_PER_GROUP_AND_PARTITION

__all__ = ["ReceiverRefusedError", "ReceiverStolenError", "Receivers"]


class ReceiverStolenError(EdgeyardError):
    """An owner of a higher level reads the partition: the answer of Event Hubs is ``amqp:link:stolen``."""


class ReceiverRefusedError(EdgeyardError):
    """There are as many readers as may be: the answer of Event Hubs is ``com.microsoft:quota-exceeded``, or
    ``amqp:resource-limit-exceeded``.
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class _Receiver:
    owner_level: int | None
    steal: Callable[[], None] = field(repr=False)


class Receivers:
    """The table of all readers of a hub."""

    def __init__(self) -> None:
        self._present: dict[tuple[str, str], list[_Receiver]] = {}

    def enter(
        self, group: str, partition_id: str, owner_level: int | None, steal: Callable[[], None]
    ) -> Callable[[], None]:
        """Take a place; the function that is returned gives it back, and may be called again.

        ``steal`` is called, at once or later, when another reader takes the place; it must not call back into here.
        ReceiverStolenError, ReceiverRefusedError.
        """
        place = self._present.setdefault((group.lower(), partition_id), [])
        levels = [receiver.owner_level for receiver in place if receiver.owner_level is not None]
        if levels and (owner_level is None or owner_level < max(levels)):
            raise ReceiverStolenError(
                f"partition {partition_id} of {group} is read by an owner of level {max(levels)}: it must leave first"
            )
        if owner_level is None and len(place) >= READERS_PER_GROUP_AND_PARTITION:
            raise ReceiverRefusedError(
                f"partition {partition_id} of {group} has {len(place)} readers: use another consumer group"
            )
        leaving = list(place) if owner_level is not None else []
        for receiver in leaving:
            place.remove(receiver)
            receiver.steal()
        newcomer = _Receiver(owner_level=owner_level, steal=steal)
        place.append(newcomer)
        return lambda: place.remove(newcomer) if newcomer in place else None
