"""How IoT Hub writes an error into a body.

Four shapes are in use, and SDKs tell them apart by area (REST reference, "Common error codes"):

* ``REGISTRY``: ``{"Message": "ErrorCode:NAME;text", "ExceptionMessage": "Tracking ID:…"}``;
* ``PLAIN``: ``{"errorCode": 404010, "message": …, "trackingId": …, "timestampUtc": …}``, for modules and over MQTT;
* ``NESTED``: ``REGISTRY`` whose ``Message`` is the text of ``PLAIN``, for direct methods;
* ``PROVISIONING``: the members of ``PLAIN`` as the provisioning service spells their values.
"""

from __future__ import annotations

import enum
import os
from datetime import UTC, datetime
from uuid import UUID

import orjson

from iot_core.clock import iso
from iot_core.errors import HubError

__all__ = ["Envelope", "error_body"]


class Envelope(enum.Enum):
    """The shape of an error body; the area of the API chooses it."""

    REGISTRY = "A"
    PLAIN = "B"
    NESTED = "C"
    PROVISIONING = "D"

    @property
    def header(self) -> str:
        """The header that names the error."""
        return "x-ms-error-code" if self is Envelope.PROVISIONING else "iothub-errorcode"


def error_body(error: HubError, envelope: Envelope, now: float) -> bytes:
    """The JSON body for ``error``; ``now`` is in unix seconds and only stamps the tracking id."""
    return orjson.dumps(_WRITERS[envelope](error, _Tracking(now)))


class _Tracking:
    """A tracking id, random, with the time of the error in the two spellings the service uses."""

    def __init__(self, now: float) -> None:
        at = datetime.fromtimestamp(now, tz=UTC)
        self.utc = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.precise = iso(now)
        self._id = os.urandom(16).hex()
        self._slashed = at.strftime("%m/%d/%Y %H:%M:%S")

    @property
    def uuid(self) -> str:
        return str(UUID(hex=self._id))

    @property
    def sentence(self) -> str:
        return f"Tracking ID:{self._id}-G:0-TimeStamp:{self._slashed}"

    @property
    def value(self) -> str:
        return f"{self._id}-G2:-TimeStamp:{self.utc}"


def _registry(error: HubError, tracking: _Tracking) -> dict[str, object]:
    return {"Message": f"ErrorCode:{error.name};{error.message}", "ExceptionMessage": tracking.sentence}


def _plain(error: HubError, tracking: _Tracking) -> dict[str, object]:
    return {
        "errorCode": error.code,
        "message": error.message,
        "trackingId": tracking.value,
        "timestampUtc": tracking.utc,
    }


def _nested(error: HubError, tracking: _Tracking) -> dict[str, object]:
    inner = orjson.dumps({**_plain(error, tracking), "info": None}).decode()
    return {"Message": inner, "ExceptionMessage": ""}


def _provisioning(error: HubError, tracking: _Tracking) -> dict[str, object]:
    return {
        "errorCode": error.code,
        "trackingId": tracking.uuid,
        "message": error.message,
        "timestampUtc": tracking.precise,
    }


_WRITERS = {
    Envelope.REGISTRY: _registry,
    Envelope.PLAIN: _plain,
    Envelope.NESTED: _nested,
    Envelope.PROVISIONING: _provisioning,
}
