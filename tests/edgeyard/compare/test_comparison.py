"""Two local hubs give the same answers; a hub that answers otherwise is told of; and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.hubs import run_async
from edgeyard.compare import LeftBehindError, Side, compare_hubs, service_cases
from edgeyard.compare.cases import SCENARIOS as FIRST_SCENARIOS
from edgeyard.compare.comparison import SCENARIOS
from edgeyard.compare.doors import AskedHub, Doors
from edgeyard.compare.live_cases import SCENARIOS as LIVE
from edgeyard.compare.live_cases import LiveScenario
from edgeyard.compare.probe import NO_FURTHER, Probe
from edgeyard.compare.steps import Scenario, Step
from hub_tools.replies import Reply
from hub_tools.rest import RestHubService
from hub_tools.service import HubUnreachableError
from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError
from tests.acceptance.support import HUB_PORTS, Process, RunningHub, edgeyard
from transport.loopback import free_loopback_address

OURS = "edgeyard-compare"


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, RunningHub]]:
    started, running = list[Process](), list[RunningHub]()
    for name in ("ours", "theirs"):
        home, host = tmp_path_factory.mktemp(name), free_loopback_address(HUB_PORTS)
        started.append(Process(home, "hub", "run", "--host", host, until="hub ready"))
        running.append(RunningHub(home, host))
    yield running[0], running[1]
    for process in started:
        assert process.stop() == 0


def side(hub: RunningHub, rest: AskedHub) -> Side:
    string = ConnectionString.parse(hub.variables["IOTHUB_CONNECTION_STRING"])
    return Side(rest=rest, connection_string=string, ca_file=Path(hub.variables["IOTHUB_CA_FILE"]))


class OtherHub:
    """The real local hub behind a glass that changes some answers."""

    def __init__(self, service: RestHubService, change: Callable[[str, str, Reply], Reply]) -> None:
        self.host_name = service.host_name
        self.asked: list[tuple[str, str]] = []
        self._service = service
        self._change = change

    async def exchange(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        self.asked.append((method, path))
        return self._change(method, path, await self._service.exchange(method, path, body, **options))


def with_changes(reply: Reply, *, headers: Mapping[str, str] | None = None, **members: Any) -> Reply:
    body = json.dumps({**json.loads(reply.body), **members}).encode()
    return Reply(status=reply.status, headers=reply.headers if headers is None else headers, body=body)


def answers_otherwise(method: str, path: str, reply: Reply) -> Reply:
    """A hub of another make."""
    if method == "GET" and path.startswith("/twins/") and reply.status == 200:
        return with_changes(reply, etag="not base64!", extra=1, deviceId=5)
    if method == "DELETE" and reply.status == 404:
        return Reply(status=204, headers={}, body=b"")
    if reply.status == 412:
        return Reply(status=412, headers={**reply.headers, "iothub-errorcode": "Other"}, body=reply.body)
    if path.startswith("/statistics/devices"):
        return Reply(status=200, headers={}, body=reply.body)
    return reply


def scenario(name: str) -> Scenario:
    return next(one for one in FIRST_SCENARIOS if one.name == name)


async def left_in(hub: RunningHub) -> list[str]:
    """Everything of a probe that is in a hub."""
    async with hub.service() as service:
        # Not by a query, which sees a deletion late on a hub that is like Azure's.
        devices = [one["deviceId"] for one in (await service.call("GET", "/devices", query="top=1000")).array()]
        configurations = json.loads((await service.exchange("GET", "/configurations")).body)
        return [*(name for name in devices if name.startswith(OURS)), *(one["id"] for one in configurations)]


def test_two_local_hubs_do_not_differ(hubs: tuple[RunningHub, RunningHub]) -> None:
    ours, theirs = hubs
    string, ca_file = theirs.variables["IOTHUB_CONNECTION_STRING"], theirs.variables["IOTHUB_CA_FILE"]
    result = edgeyard(ours.home, "hub", "compare", "--hub", string, "--ca-file", ca_file, "--output", "json")
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(result.stdout)
    assert found["differences"] == []
    over_https = sum(len(one.steps) for one in (*FIRST_SCENARIOS, *service_cases.SCENARIOS))
    assert found["steps"] == over_https + sum(one.steps for one in LIVE)
    assert asyncio.run(left_in(ours)) == asyncio.run(left_in(theirs)) == []


async def test_every_way_of_answering_otherwise_is_named(hubs: tuple[RunningHub, RunningHub]) -> None:
    async with hubs[0].service() as ours, hubs[1].service() as theirs:
        chosen = [scenario("devices"), scenario("twins"), scenario("refusals")]
        comparison = await compare_hubs(
            side(hubs[0], ours), side(hubs[1], OtherHub(theirs, answers_otherwise)), scenarios=chosen
        )
    found = {(one.step, one.where): (one.local, one.other) for one in comparison.differences}
    assert found["get new", "body.etag"] == ("<base64>", "<text>")
    assert found["get new", "body.extra"] == ("absent", "1")
    assert found["get new", "body.deviceId"] == ('"{p}-d"', "5")
    assert found["delete none", "status"] == ("404", "204")
    assert found["delete none", "header iothub-errorcode"] == ("DeviceNotFound", "absent")
    assert found["delete stale", "header iothub-errorcode"] == ("PreconditionFailed", "Other")
    assert found["statistics of devices", "header content-type"][1] == "absent"
    assert {one.step for one in comparison.differences} >= {"get patched", "get replaced", "update stale"}
    assert ("get", "status") not in found


class Interrupted:
    """A hub that something happens to at one request, the first time that it comes."""

    def __init__(self, service: RestHubService, at: tuple[str, str], happen: Callable[[], object]) -> None:
        self.host_name = service.host_name
        self._service = service
        self._at: tuple[str, str] | None = at
        self._happen = happen

    async def exchange(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        if self._at and method == self._at[0] and path.endswith(self._at[1]):
            self._at = None
            self._happen()
        return await self._service.exchange(method, path, body, **options)


def break_down() -> None:
    raise HubUnreachableError("gone")


MOMENTS = [("PUT", "-k"), ("PUT", "/modules/m"), ("PUT", "-job"), ("DELETE", "-c"), ("PUT", "-l")]


@pytest.mark.parametrize("at", MOMENTS)
async def test_a_failure_leaves_nothing_behind(hubs: tuple[RunningHub, RunningHub], at: tuple[str, str]) -> None:
    async with hubs[0].service() as ours, hubs[1].service() as theirs:
        with pytest.raises(HubUnreachableError):
            await compare_hubs(side(hubs[0], ours), side(hubs[1], Interrupted(theirs, at, break_down)))
    assert [await left_in(hub) for hub in hubs] == [[], []]


@pytest.mark.parametrize("at", MOMENTS)
async def test_being_cancelled_leaves_nothing_behind(hubs: tuple[RunningHub, RunningHub], at: tuple[str, str]) -> None:
    async with hubs[0].service() as ours, hubs[1].service() as theirs:
        tasks: list[asyncio.Task[Any]] = []
        other = Interrupted(theirs, at, lambda: tasks[0].cancel())
        tasks.append(asyncio.ensure_future(compare_hubs(side(hubs[0], ours), side(hubs[1], other))))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
    assert [await left_in(hub) for hub in hubs] == [[], []]


async def test_what_is_in_the_way_of_cleaning_up_is_tried_again(hubs: tuple[RunningHub, RunningHub]) -> None:
    async with hubs[0].service() as service:
        hub = Interrupted(service, ("DELETE", "/own-d"), break_down)
        made = Step(name="m", verb="PUT", path="/devices/{p}-d", body={"deviceId": "{p}-d"})
        await Probe(side(hubs[0], hub), "own").run([Scenario(name="s", steps=(made,))])
        with pytest.raises(HubError, match="404001"):
            await service.get_device("own-d")


async def test_what_could_not_be_removed_is_named(hubs: tuple[RunningHub, RunningHub]) -> None:
    def keeps(method: str, _path: str, reply: Reply) -> Reply:
        return Reply(status=403, headers={}, body=b"") if method == "DELETE" else reply

    stays = Scenario(name="s", steps=(Step(name="m", verb="PUT", path="/devices/{p}-d", body=[]),))
    async with hubs[0].service() as service:
        with pytest.raises(LeftBehindError, match=f"/devices/own-d .* {service.host_name}"):
            await Probe(side(hubs[0], OtherHub(service, keeps)), "own").run([stays])


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, though what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("at", MOMENTS)
def test_ctrl_c_leaves_nothing_behind(hubs: tuple[RunningHub, RunningHub], at: tuple[str, str]) -> None:
    async def compare() -> None:
        async with hubs[0].service() as ours, hubs[1].service() as theirs:
            other = Interrupted(theirs, at, lambda: signal.raise_signal(signal.SIGINT))
            await compare_hubs(side(hubs[0], ours), side(hubs[1], other))

    with pytest.raises(KeyboardInterrupt):
        run_async(compare())
    assert [asyncio.run(left_in(hub)) for hub in hubs] == [[], []]


def test_a_hub_that_is_not_local_is_named_and_needs_a_yes(hubs: tuple[RunningHub, RunningHub]) -> None:
    azure = "HostName=h.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=c2VjcmV0"
    result = edgeyard(hubs[0].home, "hub", "compare", "--hub", azure)
    assert result.returncode == 2
    assert "h.azure-devices.net" in result.stderr
    assert "--yes" in result.stderr


def test_a_hub_is_not_compared_with_itself(hubs: tuple[RunningHub, RunningHub]) -> None:
    result = edgeyard(hubs[0].home, "hub", "compare", "--hub", hubs[0].variables["IOTHUB_CONNECTION_STRING"])
    assert (result.returncode, "itself" in result.stderr) == (2, True)


def test_all_that_a_hub_may_make_of_a_scenario_is_taken_away() -> None:
    steps = (
        Step(name="1", verb="PUT", path="/devices/a/modules/m"),
        Step(name="2", verb="PUT", path="/configurations/c"),
        Step(name="3", verb="PUT", path="/jobs/v2/j"),
        Step(name="4", verb="POST", path="/devices", body=[{"id": "b"}]),
        Step(name="5", verb="PATCH", path="/twins/a"),
    )
    one = Scenario(name="s", steps=steps)
    assert (one.makes, one.jobs) == (("/devices/a", "/configurations/c", "/devices/b"), ("/jobs/v2/j",))


def test_names_of_scenarios_and_of_steps_in_one_are_unique() -> None:
    assert len({one.name for one in SCENARIOS}) == len(SCENARIOS)
    for one in SCENARIOS:
        if isinstance(one, Scenario):
            assert len({step.name for step in one.steps}) == len(one.steps)


async def test_a_live_scenario_that_one_hub_does_not_finish_is_told_with_the_reason(
    hubs: tuple[RunningHub, RunningHub],
) -> None:
    async def only_ours(doors: Doors) -> AsyncIterator[tuple[str, Any]]:
        await doors.make("x")
        yield "first", {"a": 1}
        if doors.side.host == hubs[1].host:
            raise TimeoutError
        yield "second", {"b": 2}

    live = LiveScenario(name="s", devices=("x",), steps=2, run=only_ours)
    async with hubs[0].service() as ours, hubs[1].service() as theirs:
        comparison = await compare_hubs(side(hubs[0], ours), side(hubs[1], theirs), scenarios=[live])
    found = {one.step: (one.local, one.other) for one in comparison.differences if one.where == "status"}
    assert found == {
        "second": ("seen", "not reached"),
        NO_FURTHER: ("not reached", "TimeoutError after 1 steps"),
    }
    assert [await left_in(hub) for hub in hubs] == [[], []]
