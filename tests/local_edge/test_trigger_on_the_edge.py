"""The trigger module as it is deployed: the real SDK client on a real edge and hub, and a real web server."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge
from local_edge.control import logs
from transport.loopback import free_loopback_address

Deploy = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
Wait = Callable[..., Awaitable[Any]]
INTO_TRIGGER = 'INTO BrokeredEndpoint("/modules/trigger/inputs/{}")'
ROUTES = {
    "readings": "FROM /messages/modules/probe/outputs/out " + INTO_TRIGGER.format("telemetry"),
    "changes": "FROM /twinChangeNotifications " + INTO_TRIGGER.format("twinChanges"),
    "echo": "FROM /messages/modules/probe/outputs/echo INTO $upstream",
    "alerts": 'FROM /messages/modules/trigger/outputs/alerts INTO BrokeredEndpoint("/modules/probe/inputs/alarm")',
}


@dataclass(kw_only=True)
class Hook:
    """Answers every POST, those to /slow only when `release` is set."""

    url: str = ""
    bodies: list[tuple[str, str, Any]] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append((request.path, request.headers["Idempotency-Key"], await request.json()))
        if request.path == "/slow":
            await self.release.wait()
        return web.Response()

    def to(self, path: str) -> list[tuple[str, Any]]:
        return [(key, body) for called, key, body in self.bodies if called == path]


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    app = web.Application()
    app.router.add_post("/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.77.41.3", 0)
    await site.start()
    made.url = f"http://127.77.41.3:{runner.addresses[0][1]}"
    yield made
    made.release.set()
    await runner.cleanup()


@pytest.fixture
def config(config: EdgeConfig) -> EdgeConfig:
    images = {**config.images.commands, "edgeyard/trigger": ("{python}", "-m", "modules.trigger")}
    host = free_loopback_address((8883, 443, 8443, 9601, 9602))
    return replace(config, host=host, images=ImageTable(commands=images, project=config.images.project))


def settings(hook: Hook) -> dict[str, Any]:
    return {
        "reportingInterval": 0.5,
        "actions": {
            "slow": {"type": "http", "url": f"{hook.url}/slow"},
            "quick": {"type": "http", "url": f"{hook.url}/quick"},
            "ask": {"type": "method", "module": "probe", "method": "hello", "payload": "alarm", "connectTimeout": 20},
            "alert": {"type": "output", "output": "alerts"},
        },
        "rules": {
            "high": {"condition": "$body.number >= 3", "actions": ["slow", "quick", "ask", "alert"]},
            "red": {"input": "twinChanges", "condition": "$body.colour = 'red'", "actions": ["quick"]},
        },
    }


@pytest.fixture
async def deployed(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Deploy,
    hook: Hook,
    wait: Wait,
    runs: Callable[..., Awaitable[bool]],
) -> None:
    """Probe and trigger at work."""
    content = deployment({"probe": {}, "trigger": {"settings": {"image": "edgeyard/trigger:1"}}}, ROUTES)
    content["modulesContent"]["trigger"] = {"properties.desired": settings(hook)}
    await service.apply_configuration_content(device_id, content)
    await wait(lambda: runs("probe", "trigger"))
    await wait(lambda: "probe ready" in "".join(logs(config.home, "probe")))

    async def applied() -> bool:
        twin = await service.get_twin(Identity(device_id, "trigger"))
        return bool(twin["properties"]["reported"].get("rules", {}).get("ac") == 200)

    await wait(applied)


async def test_rules_act_on_messages_and_twin_changes_and_over_a_kill(
    deployed: None,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    hook: Hook,
    telemetry: Any,
    module_pid: Callable[[str], int | None],
    wait: Wait,
) -> None:
    await service.patch_twin(Identity(device_id, "probe"), {"properties": {"desired": {"colour": "red"}}})
    await wait(lambda: hook.to("/quick"))
    [(_, change)] = hook.to("/quick")
    assert (change["subject"], change["data"]["rule"]) == (f"{device_id}/probe", "red")
    assert change["data"]["message"]["body"] == {"colour": "red"}

    probe = Identity(device_id, "probe")
    await service.invoke_method(probe, "send", {"first": 0, "count": 5}, connect_timeout_s=20)
    await wait(lambda: len(hook.to("/slow")) == 1 and len(hook.to("/quick")) == 2)
    await wait(lambda: telemetry.bodies("probe"))
    [alarm] = telemetry.bodies("probe")
    assert (alarm["input"], alarm["body"]["data"]["message"]["body"]) == ("alarm", {"number": 3})

    pid = module_pid("trigger")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await wait(lambda: len(hook.to("/slow")) == 2)
    hook.release.set()
    [(first, _), (again, _)] = hook.to("/slow")
    assert first == again == alarm["body"]["id"]

    # The edge gave each module a port of its own.
    delivered = 'edgeyard_trigger_attempts_total{action="slow",outcome="delivered",rule="high"} 1.0'
    await wait(lambda: delivered in _metrics(config.host))


def _metrics(host: str) -> str:
    """Of every module that shows some."""
    pages = []
    for port in (9601, 9602):
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as response:
                pages.append(response.read().decode())
        except OSError:
            continue
    return "\n".join(pages)
