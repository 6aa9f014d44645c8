"""HubClient on azure-iot-device, for devices, modules and IoT Edge modules.

Reconnecting after a lost connection is the library's own work. Three of its habits are dealt with here: setting a
handler blocks until the hub has acknowledged the subscription (so it is done in a thread), handlers run on a loop of
the library's own (so they are handed over to the caller's), and several calls wait for ever when the hub stays silent
(so they have a time limit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

import structlog
from azure.iot.device import Message as SdkMessage
from azure.iot.device import MethodRequest, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient

from device import late_acknowledgement
from device.azure_errors import translating
from device.client import (
    METHOD_RESPONSE_S,
    ConnectionCallback,
    DesiredCallback,
    InputCallback,
    Json,
    MethodAnswer,
    MethodCall,
    MethodCallback,
)
from device.errors import EdgeEnvironmentError, HubRefusedError, NotConnectedError, OperationTimedOutError, TrustError
from device.threads import in_thread
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, MessageError
from iot_core.message import Message, decode_bag
from iot_core.topics import ModuleInput, parse_hub_topic

SdkHandle: TypeAlias = Any
"""IoTHubDeviceClient or IoTHubModuleClient: the library has no types that a strict checker accepts."""

OPERATION_TIMEOUT_S = 30.0  # As long as a direct method call waits by default; a hub that is slower is not there.
SHUTDOWN_TIMEOUT_S = 2.0  # The library's shutdown is a round of thread joins; the process has 5 s in all to stop.
METHOD_MARGIN_S = 5.0  # The edge hub counts the times of a method call; this is for the way there and back.
RECONNECT_INTERVAL_S = (
    5  # Between the library's attempts; its own default of 10 makes a restarted hub look down for long.
)

SETTABLE = {
    "messageId": "message_id",
    "correlationId": "correlation_id",
    "userId": "user_id",
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "expiry": "expiry_time_utc",
}
"""IoT Hub's name of a system property → attribute of the library's message."""

NOT_SENT = frozenset({"outputName", "inputName", "connectionDeviceId", "connectionModuleId"})
"""The topic carries the first two, the hub stamps the others: a message that came in can be sent on as it is."""
BAG_NAMES = {
    "$.cdid": "connectionDeviceId",
    "$.cmid": "connectionModuleId",
    "$.on": "outputName",
    "$.schema": "messageSchema",
    "$.ctime": "creationTimeUtc",
}
"""System properties that the library leaves among the custom properties of a message it receives."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class SdkClient:
    """One identity through azure-iot-device over MQTT; `name` is for logs, "device" or "device/module"."""

    def __init__(self, create: Callable[[], SdkHandle], *, name: str, host: str) -> None:
        """`create` makes an unconnected client of the library; called in a thread at every `connect`."""
        self.name = name
        self._create = create
        self._host = host
        self._sdk: SdkHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected = False
        self._desired: DesiredCallback | None = None
        self._method: MethodCallback | None = None
        self._input: InputCallback | None = None
        self._connection: ConnectionCallback | None = None

    @classmethod
    def from_connection_string(
        cls, text: str, *, ca_file: Path | str | None = None, model_id: str | None = None, keep_alive_s: int = 60
    ) -> Self:
        """A device, or a module if the string names one; ConnectionStringError or TrustError if it cannot be one.

        `ca_file` holds PEM certificates to trust instead of the system's (then SSL_CERT_FILE, if set, counts).
        `model_id` announces an IoT Plug and Play model ("dtmi:…").
        """
        parsed = ConnectionString.parse(text)
        if parsed.identity is None:
            raise ConnectionStringError("connection string: DeviceId is missing: this is a service's, not a device's")
        if parsed.x509:
            raise ConnectionStringError("connection string: X.509 devices are not supported here yet: use a key")
        options = _options(ca_file, model_id, keep_alive_s)
        library = IoTHubDeviceClient if parsed.module_id is None else IoTHubModuleClient
        return cls(
            lambda: library.create_from_connection_string(str(parsed), **options),
            name=parsed.identity.path,
            host=parsed.gateway_host_name or parsed.host_name,
        )

    @classmethod
    def from_edge_environment(cls, *, model_id: str | None = None, name: str = "module") -> Self:
        """The module that an IoT Edge runtime started (IOTEDGE_* variables); `connect` raises EdgeEnvironmentError
        else."""
        options = _options(None, model_id, 60)
        return cls(lambda: IoTHubModuleClient.create_from_edge_environment(**options), name=name, host="the edge hub")

    def on_desired(self, callback: DesiredCallback) -> None:
        self._desired = callback

    def on_method(self, callback: MethodCallback) -> None:
        self._method = callback

    def on_input(self, callback: InputCallback) -> None:
        self._input = callback

    def on_connection_state(self, callback: ConnectionCallback) -> None:
        self._connection = callback

    async def connect(self) -> None:
        """Connect and subscribe; raises DeviceConnectionError, or InputError where the settings can never work."""
        if self._sdk is not None:
            await self.disconnect()
        self._loop = asyncio.get_running_loop()
        sdk = self._sdk = await self._created()
        if self._input is not None and not late_acknowledgement.install(sdk, self._arrival(sdk)):
            log.warning("messages are acknowledged before they are handled: unknown azure-iot-device", name=self.name)
        try:
            await self._within(OPERATION_TIMEOUT_S, sdk.connect())
            await self._within(OPERATION_TIMEOUT_S, in_thread(lambda: self._subscribe(sdk)))
        except BaseException:
            await self.disconnect()
            raise
        await self._state_changed(sdk, connected=True)

    async def disconnect(self) -> None:
        sdk, self._sdk = self._sdk, None
        self._connected = False
        if sdk is None:
            return
        try:
            await self._within(SHUTDOWN_TIMEOUT_S, in_thread(lambda: asyncio.run(sdk.shutdown())))
        except Exception as error:
            log.warning("client did not shut down", name=self.name, reason=str(error))

    async def get_twin(self) -> dict[str, Json]:
        twin: dict[str, Json] = await self._within(OPERATION_TIMEOUT_S, self._handle().get_twin())
        return twin

    async def update_reported(self, patch: dict[str, Json]) -> None:
        await self._within(OPERATION_TIMEOUT_S, self._handle().patch_twin_reported_properties(patch))

    async def send(self, message: Message) -> None:
        await self._within(OPERATION_TIMEOUT_S, self._handle().send_message(to_sdk(message)))

    async def send_to_output(self, message: Message, output: str) -> None:
        sdk = self._handle()
        if not isinstance(sdk, IoTHubModuleClient):
            raise HubRefusedError(f"{self.name} is a device: only modules have outputs")
        await self._within(OPERATION_TIMEOUT_S, sdk.send_message_to_output(to_sdk(message), output))

    async def invoke_method(
        self,
        call: MethodCall,
        device_id: str,
        module_id: str | None = None,
        *,
        response_timeout_s: int = METHOD_RESPONSE_S,
        connect_timeout_s: int = 0,
    ) -> MethodAnswer:
        sdk = self._handle()
        if not isinstance(sdk, IoTHubModuleClient):
            raise HubRefusedError(f"{self.name} is a device: only modules call methods of others")
        parameters = {
            "methodName": call.name,
            "payload": call.payload,
            "responseTimeoutInSeconds": response_timeout_s,
            "connectTimeoutInSeconds": connect_timeout_s,
        }
        limit_s = response_timeout_s + connect_timeout_s + METHOD_MARGIN_S
        answer = await self._within(limit_s, sdk.invoke_method(parameters, device_id, module_id))
        return _method_answer(answer)

    def _handle(self) -> SdkHandle:
        if self._sdk is None:
            raise NotConnectedError(f"{self.name} is not connected: call connect first")
        return self._sdk

    async def _created(self) -> SdkHandle:
        try:
            return await in_thread(self._create)
        except OSError as error:
            raise EdgeEnvironmentError(
                f"no IoT Edge runtime started this module ({error}): deploy it, or run it with `edgeyard edge run`"
            ) from error
        except ValueError as error:
            raise ConnectionStringError(f"{self.name}: azure-iot-device does not take the settings: {error}") from error

    def _subscribe(self, sdk: SdkHandle) -> None:
        """Blocks until the hub has acknowledged each subscription."""
        with translating(self._host):
            self._set_handlers(sdk)

    def _set_handlers(self, sdk: SdkHandle) -> None:
        async def desired(patch: dict[str, Json]) -> None:
            if self._desired is not None:
                self._hand_over(sdk, self._desired(patch))

        async def method(request: MethodRequest) -> None:
            self._hand_over(sdk, self._answer(sdk, request))

        async def message(received: SdkMessage) -> None:
            if self._input is not None:
                self._hand_over(sdk, self._input(received.input_name or "", from_sdk(received)))

        async def connection() -> None:
            self._hand_over(sdk, self._state_changed(sdk, connected=sdk.connected))

        if self._desired is not None:
            sdk.on_twin_desired_properties_patch_received = desired
        if self._method is not None:
            sdk.on_method_request_received = method
        if self._input is not None and isinstance(sdk, IoTHubModuleClient):
            sdk.on_message_received = message
        sdk.on_connection_state_change = connection

    def _arrival(self, sdk: SdkHandle) -> late_acknowledgement.Arrived:
        def arrived(topic: str, body: bytes, done: Callable[[], None]) -> None:
            self._hand_over(sdk, self._handled(topic, body, done))

        return arrived

    async def _handled(self, topic: str, body: bytes, done: Callable[[], None]) -> None:
        """Acknowledge once the callback has returned; where it raised, the edge hub sends the message again."""
        try:
            name, message = message_from_topic(topic, body)
        except MessageError as error:
            log.warning("message not understood", name=self.name, reason=str(error))
        else:
            if self._input is not None:
                await self._input(name, message)
        done()

    def _hand_over(self, sdk: SdkHandle, coroutine: Awaitable[None]) -> None:
        """Run a callback on the caller's loop; called on the library's."""

        async def guarded() -> None:
            try:
                await coroutine
            except Exception:
                log.exception("callback failed", name=self.name)

        work: Coroutine[Any, Any, None] = guarded()
        if self._loop is None or self._loop.is_closed() or sdk is not self._sdk:
            work.close()
            if isinstance(coroutine, Coroutine):
                coroutine.close()
            return
        asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _answer(self, sdk: SdkHandle, request: MethodRequest) -> None:
        if self._method is None:
            return
        answer: MethodAnswer = await self._method(MethodCall(name=request.name, payload=request.payload))
        response = MethodResponse.create_from_method_request(request, answer.status, answer.payload)
        await self._within(OPERATION_TIMEOUT_S, sdk.send_method_response(response))

    async def _state_changed(self, sdk: SdkHandle, *, connected: bool) -> None:
        if sdk is not self._sdk or connected == self._connected:
            return
        self._connected = connected
        if self._connection is not None:
            await self._connection(connected)

    async def _within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, or OperationTimedOutError; the call itself is left to end by itself, since cancelling
        it makes the library log an error of its own."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            task.add_done_callback(_forget)
            raise OperationTimedOutError(f"{self._host} did not answer within {seconds:g} s")
        with translating(self._host):
            return task.result()


def to_sdk(message: Message) -> SdkMessage:
    """The library's message; MessageError for a system property that it has no place for."""
    sent = SdkMessage(message.body)  # type: ignore[no-untyped-call]
    for name, value in message.system.items():
        if name in SETTABLE:
            setattr(sent, SETTABLE[name], value)
        elif name not in NOT_SENT:
            raise MessageError(f"azure-iot-device cannot send the system property {name!r}")
    sent.custom_properties = {name: value or "" for name, value in message.properties.items()}
    return sent


def from_sdk(received: SdkMessage) -> Message:
    """Our message from one that the library received."""
    body = received.data if isinstance(received.data, bytes) else str(received.data).encode()
    system = {name: str(value) for name, at in SETTABLE.items() if (value := getattr(received, at)) is not None}
    if received.input_name is not None:
        system["inputName"] = received.input_name
    own = dict(received.custom_properties)
    for wire, name in BAG_NAMES.items():
        if wire in own:
            system[name] = str(own.pop(wire))
    return Message(body, own, system)


def message_from_topic(topic: str, body: bytes) -> tuple[str, Message]:
    """The input and the message in a topic of the edge hub; MessageError."""
    parsed = parse_hub_topic(topic)
    if not isinstance(parsed, ModuleInput):
        raise MessageError(f"{topic[:80]!r} is not the topic of an input")
    properties, system = decode_bag(parsed.bag)
    named = {name: value or "" for name, value in properties.items()}
    return parsed.input_name, Message(body, dict(named), {**system, "inputName": parsed.input_name})


def _method_answer(answer: Any) -> MethodAnswer:
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), int):
        raise HubRefusedError("the edge hub's answer to a method call has no status")
    return MethodAnswer(status=answer["status"], payload=answer.get("payload"))


def _options(ca_file: Path | str | None, model_id: str | None, keep_alive_s: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "connection_retry_interval": RECONNECT_INTERVAL_S,
        "auto_connect": False,
        "ensure_desired_properties": False,
        "keep_alive": keep_alive_s,
    }
    if ca_file is not None:
        options["server_verification_cert"] = _read_ca(Path(ca_file))
    if model_id is not None:
        options["product_info"] = model_id
    return options


def _read_ca(path: Path) -> str:
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise TrustError(f"the CA file {path} cannot be read: {error}") from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise TrustError(f"the CA file {path} holds no PEM certificate")
    return text


def _forget(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
