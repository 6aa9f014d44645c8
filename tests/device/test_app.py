"""The frame of devices and modules, on a fake hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from device import app as app_module
from device.app import App
from device.errors import CredentialRefusedError, HubUnreachableError
from device.fake_client import FakeHubClient
from device.settings import ReportingSettings
from iot_core.errors import InputError
from iot_core.message import Message


@pytest.fixture
def hub() -> FakeHubClient:
    return FakeHubClient()


@asynccontextmanager
async def running(app: App[Any]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(stop))
    try:
        await app.ready.wait()
        yield
    finally:
        stop.set()
        await task


async def test_settings_are_applied_and_acknowledged_after_connecting(hub: FakeHubClient) -> None:
    hub.desired |= {"reportingInterval": 3, "$version": 7}
    app = App(hub, ReportingSettings)
    async with running(app):
        assert app.settings.reporting_interval == 3
        assert hub.reported["reportingInterval"] == {"value": 3, "ac": 200, "av": 7, "ad": "applied"}


async def test_a_desired_patch_is_acknowledged_at_once(hub: FakeHubClient) -> None:
    async with running(App(hub, ReportingSettings)):
        await hub.operator_sets(reportingInterval=5)
        assert hub.reported["reportingInterval"]["ac"] == 200
        assert hub.reported["reportingInterval"]["av"] == 2


async def test_what_changed_while_offline_is_applied_on_reconnect(hub: FakeHubClient) -> None:
    app = App(hub, ReportingSettings)
    async with running(app):
        await hub.lose_connection()
        await hub.operator_sets(reportingInterval=4)
        await hub.connect()
        assert app.settings.reporting_interval == 4


async def test_a_shorter_interval_takes_effect_at_once(hub: FakeHubClient) -> None:
    hub.desired["reportingInterval"] = 3600
    app = App(hub, ReportingSettings)

    @app.every_interval
    async def send() -> None:
        await app.send(Message(b"x"))

    async with running(app):
        await hub.until(lambda: len(hub.sent) == 1)
        await hub.operator_sets(reportingInterval=0.2)
        await hub.until(lambda: len(hub.sent) >= 3)


async def test_reports_go_out_at_the_interval_and_only_when_changed(hub: FakeHubClient) -> None:
    hub.desired["reportingInterval"] = 0.2
    app = App(hub, ReportingSettings)
    rounds = 0

    @app.every_interval
    async def measure() -> None:
        nonlocal rounds
        rounds += 1
        app.report({"battery": 80 if rounds < 4 else 79})
        await app.send(Message(b"x"))

    async with running(app):
        await hub.until(lambda: hub.reported.get("battery") == 79)
    assert [patch["battery"] for patch in hub.patches if "battery" in patch] == [80, 79]


async def test_a_report_goes_out_at_once_on_request(hub: FakeHubClient) -> None:
    hub.desired["reportingInterval"] = 3600
    app = App(hub, ReportingSettings)
    async with running(app):
        app.report({"door": "open"})
        await app.report_now()
        assert hub.reported["door"] == "open"


async def test_work_that_fails_is_done_again_at_the_next_interval(hub: FakeHubClient) -> None:
    hub.desired["reportingInterval"] = 0.2
    app = App(hub, ReportingSettings)
    rounds = 0

    @app.every_interval
    async def sometimes() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise RuntimeError("once")
        await app.send(Message(b"x"))

    async with running(app):
        await hub.until(lambda: len(hub.sent) == 1)


async def test_methods_and_inputs_are_called(hub: FakeHubClient) -> None:
    app = App(hub, ReportingSettings)

    @app.method("double")
    async def double(number: int) -> int:
        return number * 2

    @app.input("texts")
    async def echo(message: Message) -> None:
        await app.send(message, output="copies")

    async with running(app):
        assert (await hub.call("double", {"number": 4})).payload == 8
        await hub.deliver("texts", Message(b"hello"))
    assert hub.sent == [("copies", Message(b"hello"))]


async def test_a_hub_that_is_down_at_start_is_tried_again(hub: FakeHubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "FIRST_RETRY_S", 0.01)
    hub.failures = [HubUnreachableError("down"), HubUnreachableError("down")]
    async with running(App(hub, ReportingSettings)):
        assert hub.connects == 1


async def test_refused_credentials_end_the_run(hub: FakeHubClient) -> None:
    hub.failures = [CredentialRefusedError("wrong key")]
    with pytest.raises(CredentialRefusedError, match="wrong key"):
        await App(hub, ReportingSettings).run(asyncio.Event())


async def test_a_stop_while_the_hub_is_down_ends_the_run(hub: FakeHubClient) -> None:
    hub.failures = [HubUnreachableError("down")]
    stop = asyncio.Event()
    task = asyncio.create_task(App(hub, ReportingSettings).run(stop))
    stop.set()
    await task
    assert not hub.connected


async def test_a_stop_waits_for_what_is_in_flight_and_reports_for_the_last_time(hub: FakeHubClient) -> None:
    hub.desired["reportingInterval"] = 3600
    app = App(hub, ReportingSettings)
    started, finish = asyncio.Event(), asyncio.Event()

    @app.method("slow")
    async def slow() -> str:
        started.set()
        await finish.wait()
        app.report({"done": True})
        return "done"

    async with running(app):
        call = asyncio.create_task(hub.call("slow"))
        await started.wait()
        asyncio.get_running_loop().call_later(0.05, finish.set)
    assert (await call).payload == "done"
    assert hub.reported["done"] is True
    assert not hub.connected


async def test_settings_functions_hear_of_every_change(hub: FakeHubClient) -> None:
    app = App(hub, ReportingSettings)
    heard: list[float] = []

    @app.on_settings
    async def hear(settings: ReportingSettings) -> None:
        heard.append(settings.reporting_interval)

    async with running(app):
        await hub.operator_sets(reportingInterval=5)
        await hub.operator_sets(somethingElse=1)
    assert heard == [10, 5]


def test_an_input_can_be_defined_once(hub: FakeHubClient) -> None:
    app = App(hub, ReportingSettings)

    async def take(message: Message) -> None:
        raise AssertionError(message)

    app.input("a")(take)
    with pytest.raises(InputError, match="defined twice"):
        app.input("a")(take)
