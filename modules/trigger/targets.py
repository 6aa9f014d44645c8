"""Carrying out actions: HTTP, direct methods, messages to outputs.

Every attempt of a delivery carries the same idempotency key: the header Idempotency-Key, the id of the event, the
message id and the property `firing` of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from device.client import HubClient, MethodCall
from device.errors import RETRY, DeviceConnectionError
from device.settings import MASK
from iot_core.errors import MessageError
from iot_core.message import Message
from modules.common.delivery import Send
from modules.trigger.errors import DeliveryFailedError, DeliveryRefusedError
from modules.trigger.events import Origin, cloud_event, payload
from modules.trigger.firing import Firing
from modules.trigger.settings import Action, HttpAction, MethodAction, OutputAction, shown_url

__all__ = ["Targets", "retry_after_s"]

IDEMPOTENCY_HEADER = "Idempotency-Key"
TRY_AGAIN = frozenset({408, 409, 425, 429})
"""Client errors that pass (RFC 9110, section 15.5; RFC 8470; RFC 6585); every 5xx may pass too."""
LONGEST_RETRY_AFTER_S = 3_600.0
"""A target that asks for more is asked again after an hour."""
READ_BYTES = 2_000
SHOWN_CHARS = 200
"""Of an answer: what the reason of a failure may show."""


class Targets:
    """Runs an action once; raises DeliveryFailedError or DeliveryRefusedError unless it was carried out."""

    def __init__(self, client: HubClient, send: Send, http: aiohttp.ClientSession) -> None:
        self._client = client
        self._send = send
        self._http = http

    async def run(self, action: Action, firing: Firing, origin: Origin) -> None:
        match action:
            case HttpAction():
                await self._post(action, firing, origin)
            case MethodAction():
                await self._call(action, firing, origin)
            case OutputAction():
                await self._output(action, firing, origin)

    async def _post(self, action: HttpAction, firing: Firing, origin: Origin) -> None:
        content = payload(firing, origin, action.format)
        key = action.key_value()
        headers = {
            "Content-Type": content.content_type,
            IDEMPOTENCY_HEADER: firing.id,
            **content.headers,
            **({action.key_header: key} if key else {}),
        }
        timeout = aiohttp.ClientTimeout(total=action.timeout)
        url = shown_url(action.url)
        try:
            async with self._http.post(
                action.url, data=content.body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 300:
                    text = await _shown(response, key)
                    raise _http_failure(url, response.status, text, response.headers)
        except TimeoutError:
            raise DeliveryFailedError(f"{url} did not answer within {action.timeout:g} s") from None
        except aiohttp.InvalidURL:
            raise DeliveryRefusedError(f"{url} is no URL that can be called") from None
        except aiohttp.ClientError as error:
            raise DeliveryFailedError(f"{url} cannot be reached: {_cause(error)}") from None

    async def _call(self, action: MethodAction, firing: Firing, origin: Origin) -> None:
        device = action.device or origin.device
        content = action.payload if action.payload is not None else cloud_event(firing, origin)
        target = f"method {action.method} of {device}" + (f"/{action.module}" if action.module else "")
        try:
            answer = await self._client.invoke_method(
                MethodCall(name=action.method, payload=content),
                device,
                action.module,
                response_timeout_s=action.response_timeout,
                connect_timeout_s=action.connect_timeout,
            )
        except DeviceConnectionError as error:
            raise _connection_failure(target, error) from None
        if answer.status >= 300:
            raise _method_failure(f"{target} answered {answer.status}: {_json(answer.payload)}", answer.status)

    async def _output(self, action: OutputAction, firing: Firing, origin: Origin) -> None:
        content = payload(firing, origin, action.format)
        properties = {**firing.message.properties, "rule": firing.rule, "firing": firing.id}
        media_type, _, _ = content.content_type.partition(";")
        system = {"messageId": firing.id, "contentType": _routable(media_type), "contentEncoding": "utf-8"}
        if correlation := firing.message.system.get("messageId"):
            system["correlationId"] = correlation
        target = f"output {action.output}"
        try:
            await self._send(Message(content.body, properties, system), action.output)
        except DeviceConnectionError as error:
            raise _connection_failure(target, error) from None
        except MessageError as error:
            raise DeliveryRefusedError(f"{target}: {error}") from None


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110, section 10.2.3); None without a sound one."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _http_failure(
    url: str, status: int, text: str, headers: Mapping[str, str]
) -> DeliveryFailedError | DeliveryRefusedError:
    reason = f"{url} answered {status}" + (f": {text}" if text else "")
    if status in TRY_AGAIN or status >= 500:
        return DeliveryFailedError(reason, retry_after_s=retry_after_s(headers, datetime.now(UTC)))
    return DeliveryRefusedError(reason)


def _method_failure(reason: str, status: int) -> DeliveryFailedError | DeliveryRefusedError:
    """Statuses of methods are the target's own, but 4xx is used for what the caller did wrong."""
    passes = status in TRY_AGAIN or status == 404 or status >= 500
    return DeliveryFailedError(reason) if passes else DeliveryRefusedError(reason)


def _connection_failure(target: str, error: DeviceConnectionError) -> DeliveryFailedError:
    """A target that is not there now may come; a module that is cut off itself does not count it as an attempt."""
    return DeliveryFailedError(f"{target}: {error}", counts=not isinstance(error, RETRY))


def _routable(media_type: str) -> str:
    """Routes look only into bodies of type application/json."""
    return "application/json" if media_type.endswith("+json") else media_type


async def _shown(response: aiohttp.ClientResponse, key: str | None) -> str:
    """The beginning of an answer as one line, never with the key in it."""
    text = (await response.content.read(READ_BYTES)).decode("utf-8", "replace")
    if key:
        text = text.replace(key, MASK)
    return " ".join(text.split())[:SHOWN_CHARS]


def _cause(error: aiohttp.ClientError) -> str:
    """The system's words where there are some: the library's name the URL, which may hold a key."""
    cause = getattr(error, "os_error", None)
    return (cause.strerror or type(cause).__name__) if isinstance(cause, OSError) else type(error).__name__


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()[:SHOWN_CHARS]
