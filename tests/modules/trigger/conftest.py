"""A trigger module on a fake hub with a clock of its own, and a web server that it calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from device.app import App
from device.fake_client import FakeHubClient
from iot_core.clock import ManualClock
from iot_core.message import Message
from modules.common.serving import serving
from modules.trigger.module import trigger_module
from modules.trigger.settings import TriggerSettings

HOST = "127.77.41.1"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Hook:
    """A web server: `answers` (status, headers, text) in turn, then 200; a path that contains "slow" answers only when
    `release` is set."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        call = Call(path=request.path_qs, headers=dict(request.headers), body=await request.read())
        async with self._news:
            self.calls.append(call)
            self._news.notify_all()
        if "slow" in request.path:
            await self.release.wait()
        status, headers, text = self.answers.pop(0) if self.answers else (200, {}, "")
        return web.Response(status=status, headers=headers, text=text)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._news:
            await self._news.wait_for(condition)

    def to(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path.startswith(path)]


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    app = web.Application()
    app.router.add_post("/{tail:.*}", made.handle)
    async with serving(app, HOST, 0, remedy="") as port:
        made.url = f"http://{HOST}:{port}"
        yield made
        made.release.set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_767_225_600.0)


@pytest.fixture
def hub() -> FakeHubClient:
    return FakeHubClient({"reportingInterval": 0.2})


@pytest.fixture
def in_time(clock: ManualClock) -> Callable[..., Awaitable[None]]:
    """Lets time pass, a second every few milliseconds, until a condition holds."""

    async def wait(condition: Callable[[], bool], step_s: float = 1) -> None:
        while not condition():
            await asyncio.sleep(0.005)
            clock.advance(step_s)

    return wait


Running = Callable[[], AbstractAsyncContextManager[App[TriggerSettings]]]


@pytest.fixture
def running(hub: FakeHubClient, clock: ManualClock, tmp_path: Path) -> Running:
    """The module at work; a second time it goes on with what the first one left."""

    @asynccontextmanager
    async def run() -> AsyncIterator[App[TriggerSettings]]:
        stop = asyncio.Event()
        registry = CollectorRegistry()
        async with trigger_module(hub, tmp_path, device="edge-1", registry=registry, clock=clock) as app:
            task = asyncio.create_task(app.run(stop))
            await app.ready.wait()
            try:
                yield app
            finally:
                stop.set()
                await task

    return run


@pytest.fixture
def reading() -> Callable[..., Message]:
    """A message of a machine that measured so many degrees."""

    def make(celsius: float, machine: str = "a", **properties: str) -> Message:
        system = {"contentType": "application/json", "contentEncoding": "utf-8", "messageId": f"{machine}-{celsius}"}
        return Message(json.dumps({"t": celsius, "id": machine}).encode(), dict(properties), system)

    return make
