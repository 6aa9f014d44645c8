"""The frame of a module's process on a fake hub."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from device.app import App
from device.azure_client import SdkClient
from device.errors import ConnectionLostError
from device.fake_client import FakeHubClient
from device.settings import ReportingSettings
from iot_core.errors import InputError, MessageError
from iot_core.message import Message
from modules.common.frame import client_for, run_module
from modules.common.monitoring import Health
from modules.common.options import ModuleOptions, add_module_options, module_options
from modules.common.standalone import StandaloneClient
from transport.loopback import free_loopback_address

PORT = 9600


@dataclass(kw_only=True)
class Running:
    """A module at work: its hub, and what it shows to those who watch it."""

    hub: FakeHubClient
    app: App[ReportingSettings]
    registry: CollectorRegistry
    host: str

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    async def ready(self) -> tuple[int, str]:
        async with aiohttp.ClientSession() as http, http.get(f"http://{self.host}:{PORT}/ready") as response:
            return response.status, await response.text()


@asynccontextmanager
async def running(hub: FakeHubClient, prepare: Callable[[App[Any]], None] = lambda app: None) -> AsyncIterator[Running]:
    app, registry, stop = App(hub, ReportingSettings, name="counter"), CollectorRegistry(), asyncio.Event()
    prepare(app)
    host = free_loopback_address((PORT,))
    options = ModuleOptions(metrics_host=host, metrics_port=PORT)
    task = asyncio.create_task(run_module(app, registry=registry, health=Health(), options=options, stop=stop))
    await app.ready.wait()
    try:
        yield Running(hub=hub, app=app, registry=registry, host=host)
    finally:
        stop.set()
        assert await task == 0


@pytest.fixture
def hub() -> FakeHubClient:
    return FakeHubClient({"reportingInterval": 0.2})


async def test_it_is_ready_while_connected_and_in_step_with_the_twin(hub: FakeHubClient) -> None:
    async with running(hub) as module:
        assert await module.ready() == (200, "ready\n")
        assert (module.value("edgeyard_connected"), module.value("edgeyard_ready")) == (1, 1)
        await hub.lose_connection()
        status, text = await module.ready()
        assert (status, module.value("edgeyard_connected")) == (503, 0)
        assert text == "twin: the desired properties are not applied yet\nhub: not connected\n"


async def test_messages_are_counted_by_input_and_output(hub: FakeHubClient) -> None:
    def prepare(app: App[Any]) -> None:
        @app.input("in")
        async def take(message: Message) -> None:
            await app.send(message, output="out")
            await app.send(message)

    async with running(hub, prepare) as module:
        for _ in range(2):
            await hub.deliver("in", Message(b"{}"))
        assert module.value("edgeyard_messages_received_total", input="in") == 2
        assert module.value("edgeyard_messages_sent_total", output="out") == 2
        assert module.value("edgeyard_messages_sent_total", output="$upstream") == 2


async def test_failures_are_counted_by_kind(hub: FakeHubClient) -> None:
    def prepare(app: App[Any]) -> None:
        @app.input("in")
        async def take(message: Message) -> None:
            raise MessageError("not understood") if message.body else ConnectionLostError("lost")

    async with running(hub, prepare) as module:
        for name, body in (("in", b"x"), ("in", b""), ("nosuch", b"")):
            await hub.deliver(name, Message(body))
        kinds = ("MessageError", "ConnectionLostError", "UnknownInput")
        assert [module.value("edgeyard_errors_total", kind=kind) for kind in kinds] == [1, 1, 1]


async def test_settings_and_reported_patches_are_counted(hub: FakeHubClient) -> None:
    async with running(hub) as module:
        before = module.value("edgeyard_reported_patches_total")
        await hub.operator_sets(reportingInterval=0.3)
        assert module.value("edgeyard_settings_version") == 2
        assert before is not None
        assert module.value("edgeyard_reported_patches_total") == before + 1


def options(*arguments: str, **environment: str) -> ModuleOptions:
    parser = argparse.ArgumentParser()
    add_module_options(parser, environment)
    return module_options(parser.parse_args(arguments))


def test_arguments_win_over_the_environment_and_both_over_the_defaults() -> None:
    assert options() == ModuleOptions(metrics_host="127.0.0.1", metrics_port=9600)
    told = options("--metrics-port", "0", MONITORING_PORT="9700", MONITORING_HOST="0.0.0.0", EDGEYARD_STANDALONE="1")
    assert told == ModuleOptions(metrics_host="0.0.0.0", metrics_port=0, standalone=True)
    assert options("--standalone", "--twin", "t.json").twin == Path("t.json")


def test_a_bad_port_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"^--metrics-port \(or MONITORING_PORT\) is 'http'"):
        options(MONITORING_PORT="http")


def test_a_module_stands_alone_only_when_asked_to() -> None:
    assert isinstance(client_for(ModuleOptions(standalone=True), name="m"), StandaloneClient)
    assert isinstance(client_for(ModuleOptions(), name="m"), SdkClient)
