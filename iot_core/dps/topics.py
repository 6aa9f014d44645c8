"""Topics of the provisioning service over MQTT.

Source: DPS documentation, "Communicate with your DPS using the MQTT protocol".
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from iot_core.errors import MessageError

__all__ = ["RESPONSES", "Register", "StatusQuery", "parse_request", "response_topic"]

RESPONSES = "$dps/registrations/res/#"
"""The one filter that a client may subscribe to."""
_REGISTER = "$dps/registrations/PUT/iotdps-register/?"
_STATUS = "$dps/registrations/GET/iotdps-get-operationstatus/?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    """A request to be assigned to a hub."""

    request_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusQuery:
    """A question how a registration goes."""

    request_id: str
    operation_id: str


def parse_request(topic: str) -> Register | StatusQuery:
    """What a client publishes; MessageError for any other topic, or one without its ids."""
    for prefix in (_REGISTER, _STATUS):
        if topic.startswith(prefix):
            return _request(prefix, _query(topic[len(prefix) :]))
    raise MessageError(f"{topic[:200]!r} is not a topic that a device publishes to the provisioning service")


def response_topic(status: int, request_id: str, retry_after_s: int | None = None) -> str:
    """The topic of an answer."""
    topic = f"$dps/registrations/res/{status}/?$rid={quote(request_id, safe='')}"
    return topic if retry_after_s is None else f"{topic}&retry-after={retry_after_s}"


def _request(prefix: str, query: dict[str, str]) -> Register | StatusQuery:
    request_id = query.get("$rid", "")
    if not request_id:
        raise MessageError("a request to the provisioning service needs $rid in its topic")
    if prefix == _REGISTER:
        return Register(request_id=request_id)
    if not query.get("operationId"):
        raise MessageError("a status request to the provisioning service needs operationId in its topic")
    return StatusQuery(request_id=request_id, operation_id=query["operationId"])


def _query(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split("&"))
    return {unquote(name): unquote(value) for name, _, value in pairs if name}
