"""Applying a stack: beside what is there, until devices report success, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from hub_tools.manifests import Deployment, Layer, Module, secret
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier, PlanError, StackFailedError, StackRefusedError, StackStoppedError
from hub_tools.stacks.history import read_version
from hub_tools.stacks.lease import Lease, LeaseHeldError, LeaseRules, leased
from hub_tools.stacks.state import StackFolder
from hub_tools.stacks.waiting import WaitRules
from iot_core.errors import InputError
from iot_core.identity import Identity

ONE = Module(name="sensor", image="acme/sensor:1")
BASE = Deployment(name="base", target="tags.building = 'B1'", priority=10, modules=[ONE])
QUIET = Layer(name="quiet", target="tags.building = 'B1'", priority=20, settings={"sensor": {"interval": 60}})


def items(*all_items: Deployment | Layer) -> dict[str, Deployment | Layer]:
    return {item.name: item for item in all_items}


def newer(image: str, item: Deployment = BASE) -> Deployment:
    return replace(item, modules=[replace(ONE, image=image)])


async def held(service: RestHubService) -> dict[str, int]:
    """Priorities by id."""
    return {item["id"]: item["priority"] for item in await service.list_configurations()}


async def image_on(service: RestHubService, device: str) -> str:
    twin = await service.get_twin(Identity(device, "$edgeAgent"))
    return str(twin["properties"]["desired"]["modules"]["sensor"]["settings"]["image"])


def fails_for(image: str, code: int = 400) -> Any:
    def report(desired: Mapping[str, Any]) -> tuple[int, str]:
        found = {module["settings"]["image"] for module in (desired.get("modules") or {}).values() if module}
        return (code, "cannot be pulled") if image in found else (200, "")

    return report


async def test_a_new_stack_is_made_and_reported(
    applier: Applier, service: RestHubService, edge_device: Any, watcher: Any
) -> None:
    await edge_device("e1")
    result = await applier.up(items(BASE, QUIET))
    assert await held(service) == {"fleet-dev-base-1": 10, "fleet-dev-quiet-1": 20}
    assert result.version == 1
    assert result.report is not None
    assert (result.report.succeeded, result.report.offline) == (1, ())
    assert watcher.steps[:3] == ["create fleet-dev-quiet-1", "create fleet-dev-base-1", "wait for devices"]
    (agent,) = [row async for row in service.query("SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'")]
    assert agent["configurations"]["fleet-dev-base-1"]["status"] == "Applied"


async def test_new_content_comes_beside_the_old_and_takes_its_place(
    applier: Applier, service: RestHubService, edge_device: Any, watcher: Any
) -> None:
    await edge_device("e1")
    await applier.up(items(BASE))
    watcher.steps.clear()
    await applier.up(items(newer("acme/sensor:2")))
    assert watcher.steps == [
        "create fleet-dev-base-2",
        "wait for devices",
        "remove what is replaced",
        "delete fleet-dev-base-1",
        "settle fleet-dev-base-2",
    ]
    assert await held(service) == {"fleet-dev-base-2": 10}
    labels = (await service.get_configuration("fleet-dev-base-2"))["labels"]
    assert "edgeyard-trial" not in labels
    assert labels["edgeyard-version"] == "2"
    assert await image_on(service, "e1") == "acme/sensor:2"


async def test_nothing_is_done_twice(applier: Applier, edge_device: Any, watcher: Any) -> None:
    await applier.up(items(BASE))
    watcher.asked.clear()
    result = await applier.up(items(BASE))
    assert (result.version, watcher.asked) == (1, [])


async def test_a_failure_leaves_the_old_in_force(applier: Applier, service: RestHubService, edge_device: Any) -> None:
    await edge_device("e1", fails_for("acme/sensor:2"))
    await edge_device("e2")
    await applier.up(items(BASE))
    with pytest.raises(StackFailedError, match=r"1 of 2 .*e1: cannot be pulled \(status 400\)") as caught:
        await applier.up(items(newer("acme/sensor:2")))
    assert dict(caught.value.report.failed) == {"e1": "cannot be pulled (status 400)"}
    assert await held(service) == {"fleet-dev-base-1": 10}
    # The hub gives devices the old one again when it has looked at its deployments.
    while [await image_on(service, device) for device in ("e1", "e2")] != ["acme/sensor:1"] * 2:
        await asyncio.sleep(0.05)


async def test_fewer_may_be_enough(applier: Applier, service: RestHubService, edge_device: Any) -> None:
    await edge_device("e1", fails_for("acme/sensor:1"))
    await edge_device("e2")
    enough = replace(applier, wait=replace(applier.wait, min_success=50))
    result = await enough.up(items(BASE))
    assert result.report is not None
    assert (result.report.succeeded, result.report.total) == (1, 2)


async def test_a_failure_that_the_agent_mends_is_none(
    applier: Applier, service: RestHubService, edge_device: Any, watcher: Any
) -> None:
    calls: list[int] = []

    def report(desired: Mapping[str, Any]) -> tuple[int, str]:
        calls.append(0)
        return (500, "the registry is away") if not desired.get("mended") else (200, "")

    await edge_device("e1", report)
    mend = asyncio.Event()
    watcher.waits = lambda said: mend.set() if said.failed else None
    applying = asyncio.create_task(applier.up(items(BASE)))
    await mend.wait()
    await service.patch_twin(Identity("e1", "$edgeAgent"), {"properties": {"desired": {"mended": True}}})
    assert (await applying).version == 1


async def test_silence_until_time_is_up_is_a_failure(
    applier: Applier, service: RestHubService, edge_device: Any
) -> None:
    await edge_device("e1", lambda desired: (0, ""))
    hasty = replace(applier, wait=replace(applier.wait, timeout_s=0.1))
    with pytest.raises(StackFailedError, match=r"1 have not reported within 0\.1 s"):
        await hasty.up(items(BASE))
    assert await held(service) == {}


async def test_devices_not_seen_lately_are_named_and_not_waited_for(applier: Applier, edge_device: Any) -> None:
    await edge_device("e1")
    await edge_device("far", None)
    report = (await applier.up(items(BASE))).report
    assert report is not None
    assert (report.total, report.offline) == (1, ("far",))


async def test_stopping_takes_back_what_is_new(
    applier: Applier, service: RestHubService, edge_device: Any, watcher: Any
) -> None:
    await edge_device("e1", lambda desired: (0, ""))
    waiting = asyncio.Event()
    watcher.waits = lambda report: waiting.set()
    applying = asyncio.create_task(applier.up(items(BASE)))
    await waiting.wait()
    applying.cancel()
    with pytest.raises(StackStoppedError, match="in force"):
        await applying
    assert await held(service) == {}


async def test_a_wider_target_is_a_change_in_place_and_taken_back_on_failure(
    applier: Applier, service: RestHubService, edge_device: Any
) -> None:
    await edge_device("e1")
    await edge_device("e2", fails_for("acme/sensor:1"), building="B2")
    await applier.up(items(BASE))
    wider = replace(BASE, target="tags.building IN ['B1', 'B2']", priority=8)
    with pytest.raises(StackFailedError):
        await applier.up(items(wider))
    found = await service.get_configuration("fleet-dev-base-1")
    assert (found["targetCondition"], found["priority"]) == ("tags.building = 'B1'", 10)
    await replace(applier, wait=replace(applier.wait, min_success=50)).up(items(wider))
    found = await service.get_configuration("fleet-dev-base-1")
    assert (found["targetCondition"], found["priority"]) == (wider.target, 8)


async def test_a_base_and_its_layer_move_without_the_layer_being_dropped(
    applier: Applier, service: RestHubService, edge_device: Any, watcher: Any
) -> None:
    await edge_device("e1")
    await applier.up(items(BASE, QUIET))
    watcher.steps.clear()
    await applier.up(items(replace(newer("acme/sensor:2"), priority=40), replace(QUIET, priority=50)))
    assert watcher.steps[:2] == ["change fleet-dev-quiet-1", "create fleet-dev-base-2"]
    watcher.steps.clear()
    await applier.up(items(replace(newer("acme/sensor:3"), priority=4), replace(QUIET, priority=6)))
    assert watcher.steps[-2:] == ["settle fleet-dev-base-3", "settle fleet-dev-quiet-1"]
    assert await held(service) == {"fleet-dev-base-3": 4, "fleet-dev-quiet-1": 6}


async def test_what_the_program_no_longer_declares_goes_last(
    applier: Applier, service: RestHubService, edge_device: Any
) -> None:
    await edge_device("e1")
    await applier.up(items(BASE, QUIET))
    await applier.up(items(newer("acme/sensor:2")))
    assert await held(service) == {"fleet-dev-base-2": 10}


async def test_secrets_reach_the_hub_and_no_file(
    applier: Applier, service: RestHubService, edge_device: Any, watcher: Any
) -> None:
    item = replace(BASE, modules=[replace(ONE, env={"KEY": secret("KEY")})])
    await applier.up(items(item))
    assert "s3cret-value" in str(await service.get_configuration("fleet-dev-base-1"))
    files = [file for file in applier.folder.path.rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"state.json", "0001.json", "lock"}
    assert not [file for file in files if "s3cret-value" in file.read_text()]
    assert not [file for file in files if file.stat().st_mode & 0o077]
    assert read_version(applier.folder, 1).items["base"].modules[0].env == {"KEY": "{{secret:KEY}}"}


async def test_a_secret_without_a_value_stops_everything(applier: Applier, service: RestHubService) -> None:
    def nothing(name: str) -> str:
        raise InputError(f"secret {name} has no value")

    item = replace(BASE, modules=[replace(ONE, env={"KEY": secret("KEY")})])
    with pytest.raises(InputError, match="KEY has no value"):
        await replace(applier, value_of=nothing).up(items(item))
    assert await held(service) == {}


async def test_errors_of_the_preview_stop_everything(applier: Applier, service: RestHubService) -> None:
    with pytest.raises(StackRefusedError, match=r"S01 quiet\.priority"):
        await applier.up(items(BASE, replace(QUIET, priority=11)))
    assert await held(service) == {}


async def test_saying_no_changes_nothing(applier: Applier, service: RestHubService, watcher: Any) -> None:
    watcher.answer = False
    result = await applier.up(items(BASE))
    assert (result.agreed, result.version) == (False, None)
    assert await held(service) == {}


async def test_a_plan_is_applied_only_while_the_world_is_as_it_was(
    applier: Applier, service: RestHubService, watcher: Any
) -> None:
    watcher.answer = False
    planned = (await applier.up(items(BASE))).preview.fingerprint
    watcher.answer = True
    with pytest.raises(PlanError, match="has changed since the plan"):
        await applier.up(items(newer("acme/sensor:2")), fingerprint=planned)
    assert (await applier.up(items(BASE), fingerprint=planned)).version == 1


async def test_a_hub_that_changes_while_the_user_thinks_stops_everything(
    applier: Applier, service: RestHubService, watcher: Any
) -> None:
    async def meanwhile(question: str) -> bool:
        await service.put_configuration("theirs", {**BASE.to_configuration(), "id": "theirs", "priority": 3})
        return True

    watcher.agrees = meanwhile
    with pytest.raises(PlanError, match="since the preview"):
        await applier.up(items(BASE))
    assert await held(service) == {"theirs": 3}


async def test_a_second_operator_is_told_who_is_at_work(applier: Applier, service: RestHubService) -> None:
    theirs = Lease(service, "fleet", "dev", "token", "bob@laptop", LeaseRules())
    async with leased(theirs):
        with pytest.raises(LeaseHeldError, match=r"^bob@laptop is changing fleet/dev and holds its lease until 20"):
            await applier.up(items(BASE))
    assert (await applier.up(items(BASE))).version == 1
    assert await held(service) == {"fleet-dev-base-1": 10}


async def test_a_lost_state_is_made_again(applier: Applier, watcher: Any) -> None:
    await applier.up(items(BASE))
    applier.folder.state_file.unlink()
    result = await applier.up(items(BASE))
    assert result.version == 1
    assert read_version(applier.folder, 1).ids == {"base": "fleet-dev-base-1"}


async def test_what_another_machine_has_applied_is_the_new_version_here(applier: Applier, tmp_path: Any) -> None:
    await applier.up(items(BASE))
    with StackFolder(tmp_path / "elsewhere", "fleet", "dev") as folder:
        await replace(applier, folder=folder).up(items(newer("acme/sensor:2")))
    result = await applier.up(items(newer("acme/sensor:2")))
    assert result.version == 2
    assert read_version(applier.folder, 2).ids == {"base": "fleet-dev-base-2"}
    assert (await applier.up(items(newer("acme/sensor:2")))).version == 2


def test_rules_have_sensible_defaults() -> None:
    rules = WaitRules()
    assert (rules.min_success, rules.timeout_s, rules.seen_s) == (100, 600, 3600)
