"""The two clocks of an idle connection (OASIS AMQP 1.0 part 2, section 2.4.5). All times are of one monotonic clock."""

from __future__ import annotations

__all__ = ["IdleWatch"]

PATIENCE = 2
"""The standard asks to promise half of what is really waited for."""
HEARTBEAT_SHARE = 2
"""Something is sent twice within the time in which the peer wants to hear something."""


class IdleWatch:
    """When the peer was last heard, when something was last sent, and what is due."""

    __slots__ = ("_between_heartbeats", "_heard", "_sent", "_silence")

    def __init__(self, idle_seconds: float | None) -> None:
        self._silence = None if idle_seconds is None else idle_seconds * PATIENCE
        self._between_heartbeats: float | None = None
        self._heard = self._sent = 0.0

    def heard(self, now: float) -> None:
        """Bytes have arrived."""
        self._heard = now

    def sent(self, now: float) -> None:
        """Bytes have left."""
        self._sent = now

    def peer_wants(self, seconds: float) -> None:
        """The peer wants to hear something this often."""
        self._between_heartbeats = seconds / HEARTBEAT_SHARE

    def is_silent(self, now: float) -> bool:
        """Whether the peer is to be given up."""
        return self._silence is not None and now - self._heard >= self._silence

    def is_heartbeat_due(self, now: float) -> bool:
        """Whether something has to be sent."""
        return self._between_heartbeats is not None and now - self._sent >= self._between_heartbeats

    def deadline(self) -> float | None:
        """When one of the two can become true at the earliest."""
        due = []
        if self._silence is not None:
            due.append(self._heard + self._silence)
        if self._between_heartbeats is not None:
            due.append(self._sent + self._between_heartbeats)
        return min(due, default=None)
