"""Gates on what the devices of a wave send, alone, in a rollout, and at a hub's built-in endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs.gates import gate_from_json, gate_to_json, judge, parse_gate
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_run import RolloutReport, run_rollout
from hub_tools.jobs.rollout_states import RolloutState
from hub_tools.jobs.telemetry_gate import Events, TelemetryGate
from hub_tools.jobs.timing import Timing
from hub_tools.monitor import watch
from hub_tools.rest import RestHubService
from hub_tools.service import HubService
from iot_core import sas
from iot_core.errors import InputError
from tests.hub_tools.conftest import RunningHub
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

HOT = "telemetry $body.temperature > 90 on at most 10%"
ALIVE = "telemetry $body.alive = true on at least 50%"
JSON = {"contentType": "application/json", "contentEncoding": "utf-8"}


def event(device: str, body: Any, source: str = "Telemetry") -> dict[str, Any]:
    return {"deviceId": device, "source": source, "properties": {}, "systemProperties": JSON, "body": body}


def sent(*events: dict[str, Any], asked: list[float] | None = None) -> Events:
    """What a hub has, and the moments since which it was asked for."""

    @asynccontextmanager
    async def source(since: float) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        async def each() -> AsyncIterator[dict[str, Any]]:
            for one in events:
                yield one

        if asked is not None:
            asked.append(since)
        yield each()

    return source


async def failure(text: str, events: Events | None, devices: int = 4) -> str:
    states = {f"d{number}": DeviceState.WRITTEN for number in range(devices)}
    return await judge([parse_gate(text)], cast(HubService, None), states, events=events)


async def test_devices_are_counted_once_and_only_those_of_the_wave() -> None:
    hot = [event("d0", {"temperature": 95}), event("d0", {"temperature": 99}), event("other", {"temperature": 99})]
    cold = [
        event("d1", {"temperature": 20}),
        event("d2", "not json"),
        event("d3", {"temperature": 99}, "twinChangeEvents"),
    ]
    assert await failure(HOT, sent(*hot, *cold), devices=10) == ""
    assert (await failure(HOT, sent(*hot, *cold))) == f"{HOT}: it is 25%, 1 of 4 devices"


async def test_silence_fails_where_a_message_is_wanted() -> None:
    assert (await failure(ALIVE, sent())).endswith("it is 0%, 0 of 4 devices")
    assert await failure(ALIVE, sent(event("d0", {"alive": True}), event("d1", {"alive": True}))) == ""


async def test_without_anything_to_listen_with_it_does_not_hold() -> None:
    assert "nothing to listen with" in await failure(ALIVE, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("telemetry $body.x > on at most 1%", "expected a value"),
        ("telemetry $body.x > 1", "on at most 1%"),
        ("telemetry true on at least 101%", "above 100%"),
        ("telemetry $twin.tags.a = 1 on at most 1%", r"\$twin"),
    ],
)
def test_a_gate_that_is_none_is_refused_with_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_gate(text)


def test_it_is_kept_in_a_journal() -> None:
    gate = parse_gate(" Telemetry  level = 'bad'  ON at most 0.5 % ")
    assert gate == TelemetryGate(condition="level = 'bad'", bound="most", percent=0.5)
    assert gate_from_json(gate_to_json(gate)) == gate


ROLLOUT = Rollout(JobSpec(where="*", desired={"rate": 5}, job_id="job-1")).canary(2).then(100).require(HOT)
JOB = ROLLOUT.spec.job_id


async def carry_out(
    hub: FakeHub, folder: Path, rollout: Rollout, events: Events | None, timing: Timing | None = None
) -> RolloutReport:
    timing, service = timing or by_hand()[1], cast(HubService, hub)
    path = make_path("direct", service, rollout.spec, timing=timing)
    begun = (folder / JOB).exists()
    with Journal.open(folder, JOB) if begun else Journal.create(folder, rollout.spec) as journal:
        return await run_rollout(service, rollout, path, journal=journal, timing=timing, events=events)


async def test_a_wave_that_runs_hot_holds_the_rollout_until_it_has_cooled(tmp_path: Path) -> None:
    hub, rollout = FakeHub(*(f"d{number}" for number in range(6))), ROLLOUT.bake("10m")
    hot = sent(*(event(name, {"temperature": 95}) for name in hub.desired))
    timing = by_hand()[1]
    held = await carry_out(hub, tmp_path, rollout, hot, timing)
    assert (held.state, held.wave) == (RolloutState.HELD, 1)
    assert held.cause == f"{HOT}: it is 100%, 2 of 2 devices"
    asked: list[float] = []
    done = await carry_out(hub, tmp_path, rollout, sent(asked=asked), timing)
    assert done.state is RolloutState.DONE
    first, second = asked
    assert second - first >= 600, "each wave is listened to from its own end on, the last one too"


async def test_a_telemetry_gate_needs_a_bake_and_something_to_listen_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs --bake"):
        await carry_out(FakeHub("d0"), tmp_path / "a", ROLLOUT, sent())
    with pytest.raises(InputError, match="connection string of a policy"):
        await carry_out(FakeHub("d0"), tmp_path / "b", ROLLOUT.bake("1m"), None)


async def test_what_real_devices_send_is_heard_at_the_built_in_endpoint(
    hub: RunningHub, service: RestHubService
) -> None:
    for name in ("d0", "d1"):
        await service.create_device(name)
    await send(service, "d1", {"temperature": 99})
    since = time.time() + 0.001
    await send(service, "d0", {"temperature": 20})
    events = partial(watch, hub.owner, ca_file=hub.files.authority)
    listen = cast(Events, lambda moment: events(since=moment))
    assert await failure("telemetry $body.temperature > 90 on at most 0%", listen, devices=2) != ""
    states = dict.fromkeys(("d0", "d1"), DeviceState.WRITTEN)
    gates = [parse_gate("telemetry $body.temperature > 90 on at most 0%")]
    assert await judge(gates, service, states, events=listen, since=since) == "", "what was before does not count"
    gates = [parse_gate("telemetry $body.temperature < 90 on at least 50%")]
    assert await judge(gates, service, states, events=listen, since=since) == ""


async def send(service: RestHubService, device: str, body: Any) -> None:
    """A message by HTTPS, acknowledged."""
    keys = (await service.get_device(device))["authentication"]["symmetricKey"]
    host = service.host_name.partition(":")[0]
    token = sas.sign(f"{host}/devices/{device}", keys["primaryKey"], int(time.time()) + 60)
    headers = {
        "Authorization": token,
        "iothub-contenttype": "application/json",
        "iothub-contentencoding": "utf-8",
    }
    path = f"/devices/{device}/messages/events"
    reply = await service.exchange("POST", path, body, authorized=False, headers=headers)
    assert reply.status == 204, json.dumps(reply.status)
