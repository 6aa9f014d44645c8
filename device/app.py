"""The frame of every device and module: settings, direct methods, inputs, periodic work, reported properties, clean
stop.

    app = App(client, MySettings, name="device-7")

    @app.method("reboot")
    async def reboot(delay_seconds: float = 0) -> None: ...

    @app.every_interval
    async def measure() -> None:
        app.report({"battery": 88})
        await app.send(Message(b"..."))

    await app.run()

After every connect the twin is read again, the desired properties are applied and acknowledged, and what the hub does
not hold yet is reported ("Understand and use device twins in IoT Hub", "Device reconnection flow"). Periodic work
pauses while there is no connection; nothing is stored for later, so telemetry is sent at most once per interval and
at least once per send.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

import structlog

from device import health
from device.client import HubClient, Json, MethodAnswer, MethodCall
from device.errors import RETRY, DeviceConnectionError, NotConnectedError
from device.interval import Interval
from device.methods import MethodFunction, MethodTable
from device.observer import Observer, Silent
from device.process import stop_on_signals
from device.reporting import ReportedState
from device.settings import ReportingSettings, SettingsSession
from iot_core.errors import EdgeyardError, InputError, StoreError
from iot_core.message import Message

FIRST_RETRY_S = 1.0
REVIVE_AFTER_S = 60.0  # Well over the time that a client's own reconnecting takes.
LONGEST_RETRY_S = 30.0  # A hub that is back is found again within half a minute.
DRAIN_S = 2.0  # For what is in flight, out of the 5 s that a stop may take.
LAST_REPORT_S = 0.5  # For the last reported patch, out of the same 5 s; the rest is for the connection.

S = TypeVar("S", bound=ReportingSettings)
Work = Callable[[], Awaitable[None]]
InputFunction = Callable[[Message], Awaitable[None]]
SettingsFunction = Callable[[S], Awaitable[None]]


class App(Generic[S]):
    """One application on one identity; see the module's text for its use. Register everything before `run`."""

    def __init__(
        self,
        client: HubClient,
        settings_type: type[S],
        *,
        name: str = "device",
        last_good: Mapping[str, Json] | None = None,
    ) -> None:
        """`last_good`: see device.settings.SettingsSession, for applications that keep state over restarts."""
        self.client = client
        self.name = name
        self.log = structlog.get_logger("device.app").bind(name=name)
        self.ready = asyncio.Event()
        """Set while connected and in step with the twin."""
        self.observer: Observer = Silent()
        """Told of what happens here; replace it before `run`."""
        self._session = SettingsSession(settings_type, last_good=last_good)
        self._reported = ReportedState()
        self._reporting = asyncio.Lock()
        self._methods = MethodTable()
        self._inputs: dict[str, InputFunction] = {}
        self._periodic: list[Work] = [self.report_now]
        self._intervals: list[Interval] = []
        self._settings_functions: list[SettingsFunction[S]] = []
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._connections = 0

    @property
    def settings(self) -> S:
        """The settings in force."""
        return self._session.settings

    def method(self, name: str) -> Callable[[MethodFunction], MethodFunction]:
        """Register a direct method; device.methods says how payloads become parameters and results answers."""

        def register(function: MethodFunction) -> MethodFunction:
            self._methods.add(name, function)
            return function

        return register

    def input(self, name: str) -> Callable[[InputFunction], InputFunction]:
        """Register the function that takes the messages of a module's input. A message is acknowledged when it returns
        or fails; of what it raises only StoreError, a disk that refuses, makes the hub send the message again."""

        def register(function: InputFunction) -> InputFunction:
            if name in self._inputs:
                raise InputError(f"the input {name!r} is defined twice: give one of them another name")
            self._inputs[name] = function
            return function

        return register

    def every_interval(self, function: Work) -> Work:
        """Register work for every reporting interval, the first time as soon as the settings are known; a new
        interval counts at once. A failure is logged and does not stop the next round."""
        self._periodic.insert(len(self._periodic) - 1, function)
        return function

    def on_settings(self, function: SettingsFunction[S]) -> SettingsFunction[S]:
        """Register a function that is given the settings whenever they change (and once at start)."""
        self._settings_functions.append(function)
        return function

    def report(self, properties: dict[str, Json]) -> None:
        """Set top-level reported properties (None deletes one); sent at the next interval, and only if changed."""
        self._reported.want(properties)

    async def report_now(self) -> None:
        """Send what has changed and return when the hub has acknowledged it; raises DeviceConnectionError."""
        async with self._reporting:
            if patch := self._reported.pending():
                await self.client.update_reported(patch)
                self._reported.sent(patch)
                self.observer.patch_reported()

    async def send(self, message: Message, *, output: str | None = None) -> None:
        """Send telemetry, or with `output` to a module's output; returns when acknowledged, raises
        DeviceConnectionError."""
        if output is None:
            await self.client.send(message)
        else:
            await self.client.send_to_output(message, output)
        self.observer.sent(output)

    async def send_to_output(self, message: Message, output: str) -> None:
        """`send` to an output, in the shape of HubClient.send_to_output."""
        await self.send(message, output=output)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside everything else; a stop waits for it a while. Failures are logged."""
        self._started(self._guarded(work))

    async def restart(self, pause_s: float = 0.0) -> None:
        """Go away, as in a reboot, and come back after `pause_s` seconds with a fresh connection."""
        self._connections += 1
        self._out_of_step()
        await self.client.disconnect()
        await asyncio.sleep(pause_s)
        await self._connect()

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Connect and work until `stop` is set (or, without one, until SIGTERM or SIGINT), then leave within 5 s.

        Raises what connecting for the first time raises, except for errors that pass by themselves
        (device.errors.RETRY).
        """
        async with stop_on_signals(stop) as stopping:
            self._register_callbacks()
            for function in self._periodic:
                self._in_background(self._repeat(function))
            self._in_background(health.beat(self.ready.is_set))
            try:
                await _until(stopping, self._connect())
                await stopping.wait()
            finally:
                await self._leave()

    def _register_callbacks(self) -> None:
        self.client.on_desired(self._desired)
        self.client.on_method(self._call_method)
        self.client.on_connection_state(self._connection_changed)
        if self._inputs:
            self.client.on_input(self._message)

    async def _connect(self) -> None:
        wait = FIRST_RETRY_S
        while True:
            try:
                return await self.client.connect()
            except RETRY as error:
                self.log.warning("not connected", reason=str(error), retry_in_s=round(wait, 1))
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # Not all of a fleet at the same moment.
            wait = min(wait * 2, LONGEST_RETRY_S)

    async def _connection_changed(self, connected: bool) -> None:
        self._connections += 1
        self.log.info("connected" if connected else "connection lost")
        if connected:
            self.observer.connected(True)
            await self._synchronise(self._connections)
        else:
            self._out_of_step()
            self._in_background(self._revive(self._connections))

    def _out_of_step(self) -> None:
        self.ready.clear()
        self.observer.in_step(False)
        self.observer.connected(False)

    async def _revive(self, connection: int) -> None:
        """Start afresh when the client has not found its way back: azure-iot-device gives up for good after a
        refusal."""
        await asyncio.sleep(REVIVE_AFTER_S)
        while connection == self._connections:
            self.log.warning("still not connected: starting afresh")
            await self.client.disconnect()
            await self._guarded(self._connect())
            await asyncio.sleep(REVIVE_AFTER_S)

    async def _synchronise(self, connection: int) -> None:
        """Read the twin and act on it, again and again while this connection stands and it does not work."""
        self._session.begin_connection()
        while connection == self._connections:
            try:
                twin = await self.client.get_twin()
                self._reported.hub_holds(twin.get("reported", {}))
                await self._apply(twin.get("desired", {}), full=True)
                self.ready.set()
                self.observer.in_step(True)
                return
            except DeviceConnectionError as error:
                self.observer.failed(type(error).__name__)
                self.log.warning("twin not read", reason=str(error))
                await asyncio.sleep(FIRST_RETRY_S)

    async def _desired(self, patch: dict[str, Json]) -> None:
        await self._guarded(self._apply(patch, full=False))

    async def _apply(self, desired: dict[str, Json], *, full: bool) -> None:
        before = self._session.settings
        settings, acknowledgement = self._session.apply(desired, full=full)
        self.report(acknowledgement)
        self.observer.settings_applied(self._session.version)
        if settings != before or (full and not self.ready.is_set()):
            for interval in self._intervals:
                interval.changed()
            for function in self._settings_functions:
                await self._guarded(function(settings))
        await self.report_now()

    async def _call_method(self, call: MethodCall) -> MethodAnswer:
        answer: MethodAnswer = await self._tracked(self._methods.call(call))
        return answer

    async def _message(self, name: str, message: Message) -> None:
        function = self._inputs.get(name)
        if function is None:
            self.observer.failed("UnknownInput")
            self.log.warning("message for an unknown input", input=name)
            return
        self.observer.received(name)
        # The client gives each message a task: a stop waits for that one, which costs a third of a task of its own.
        task = asyncio.current_task()
        assert task is not None
        self._in_flight.add(task)
        try:
            await self._guarded(function(message), unless=StoreError)
        finally:
            self._in_flight.discard(task)

    async def _repeat(self, function: Work) -> None:
        interval = Interval(lambda: self.settings.reporting_interval)
        self._intervals.append(interval)
        while True:
            await self.ready.wait()
            await interval.tick()
            if self.ready.is_set():
                await self._tracked(self._guarded(function()))

    async def _tracked(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` so that a stop waits for it, even when the caller is cancelled."""
        return await asyncio.shield(self._started(work))

    def _started(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return task

    async def _guarded(
        self, work: Awaitable[None], *, unless: tuple[type[Exception], ...] | type[Exception] = ()
    ) -> None:
        """Failures are counted and logged, those of the kind `unless` raised too."""
        try:
            await work
        except unless as error:
            self.observer.failed(type(error).__name__)
            raise
        except NotConnectedError:
            self.log.debug("not sent: no connection")
        except EdgeyardError as error:
            self.observer.failed(type(error).__name__)
            self.log.warning("work failed", reason=str(error))
        except Exception as error:
            self.observer.failed(type(error).__name__)
            self.log.exception("work failed")

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _leave(self) -> None:
        """Stop what waits, let what is in flight end, report for the last time, disconnect."""
        connected = self.ready.is_set()
        await _cancelled(self._background)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_S)
            await _cancelled(self._in_flight)
        if connected:
            with suppress(TimeoutError, EdgeyardError):
                await asyncio.wait_for(self.report_now(), LAST_REPORT_S)
        self._out_of_step()
        self._connections += 1
        await self.client.disconnect()
        self.log.info("stopped")


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work`, or give it up when `stop` is set first."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
    if task.done():
        task.result()
    else:
        await asyncio.gather(task, return_exceptions=True)
