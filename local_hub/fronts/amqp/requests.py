"""Nodes that answer requests: a link to send them on, and one that the answers come on.

A request is accepted before it is answered: uamqp fails log-ins now and then when the answer overtakes the disposition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from iot_core.amqp import (
    ACCEPTED,
    AmqpValue,
    AmqpViolation,
    Delivery,
    Message,
    Properties,
    Receiver,
    Rejected,
    Sender,
    encode_message,
    error_condition,
)
from iot_core.amqp.types import Int
from iot_core.errors import HubError
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.node import Node

__all__ = ["Answers", "Requests", "reply"]

CREDIT = 50
"""Requests that a client may have under way."""
MOST_WAITING = 200
"""Answers that wait for credit; a client that asks on without reading them loses the oldest."""


class Answers(Node):
    """The link that answers leave on."""

    def __init__(self, link: Sender) -> None:
        self._link = link
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)

    def send(self, message: Message) -> None:
        """Send an answer, now or when there is credit."""
        self._waiting.append(encode_message(message))
        self.credited()

    def credited(self) -> None:
        while self._waiting and self._link.can_send:
            self._link.send(self._waiting.popleft(), settled=None if self._link.snd_settle_mode < 2 else True)
        self._link.send_drained()

    def updated(self, delivery: Delivery) -> None:
        self._link.settle(delivery)


class Requests(Node):
    """The link that requests come on; ``answers`` is the kind of node that the answers leave on."""

    answers: type[Answers]

    def __init__(self, client: Client, link: Receiver) -> None:
        self._client = client
        self._link = link

    def answer(self, request: Message) -> Message:
        """The answer; HubError is told to the client in it."""
        raise NotImplementedError

    def delivered(self, delivery: Delivery) -> None:
        try:
            request = delivery.message()
        except AmqpViolation as violation:
            self._link.settle(delivery, Rejected(error=error_condition(violation.condition, str(violation))))
            return
        answers = self._answers(request)
        self._link.settle(delivery, ACCEPTED)
        try:
            answer = self.answer(request)
        except HubError as error:
            answer = _refusal(error)
        if answers is not None:
            answers.send(_correlated(answer, request))

    def _answers(self, request: Message) -> Answers | None:
        """Where the client waits: at the link whose target it names, else at one of the same session, else at any."""
        wanted = request.properties.reply_to if request.properties else None

        def distance(link: Sender) -> int:
            target = link.attach.target if link.attach else None
            if wanted and target is not None and target.address == wanted:
                return 0
            return 1 if link.session is self._link.session else 2

        link = min(self._client.senders(self.answers), key=distance, default=None)
        node = self._client.node_of(link) if link is not None else None
        return node if isinstance(node, Answers) else None


def reply(status: int, description: str, body: Any = None, **more: str) -> Message:
    """An answer with its status."""
    properties: Mapping[str, Any] = {"status-code": Int(status), "status-description": description, **more}
    return Message(application_properties=dict(properties), body=AmqpValue(body))


def _refusal(error: HubError) -> Message:
    condition = condition_of(error).condition
    return reply(error.status, error.message, errorCondition=condition)


def _correlated(answer: Message, request: Message) -> Message:
    properties = Properties(correlation_id=request.properties.message_id if request.properties else None)
    return Message(properties=properties, application_properties=answer.application_properties, body=answer.body)
