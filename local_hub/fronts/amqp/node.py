"""What a link of the front is for: every link has a node, which hears what happens on it."""

from __future__ import annotations

from iot_core.amqp import Delivery, ErrorCondition
from iot_core.hub_errors import hub_error

__all__ = ["Node", "RefusedLinkError"]


class RefusedLinkError(Exception):
    """A link that is refused with a condition of its own, or sent elsewhere by it."""

    def __init__(self, condition: ErrorCondition) -> None:
        super().__init__(condition.description)
        self.condition = condition


class Node:
    """Hears of one link; the front calls, nothing may block. ``ended`` comes once, after that nothing."""

    def delivered(self, delivery: Delivery) -> None:
        """A message has come on a link that the client sends on."""
        raise hub_error("InvalidOperation", "Nothing can be sent here.")

    def credited(self) -> None:
        """The client takes more, or wants its credit used up or back (``link.is_draining``)."""

    def updated(self, delivery: Delivery) -> None:
        """The client has given a delivery of ours a state or has settled it."""

    def ended(self) -> None:
        """The link is over."""
