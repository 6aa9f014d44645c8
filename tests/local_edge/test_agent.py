"""The agent's rounds, on an engine and a hub that are a few lines each."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.manifest import ModuleSpec
from iot_core.twin import merge_patch
from local_edge.agent.agent import Agent
from local_edge.agent.restart import RestartRules
from local_edge.agent.supervisor import Supervisor
from local_edge.engines.base import ExitListener, LaunchSpec, ModuleExit
from local_edge.errors import EngineError, RegistryRefusedError, UpstreamError

IMAGE = {"type": "docker", "settings": {"image": "good"}}


class FakeEngine:
    """Knows the image `good`; remembers what runs."""

    def __init__(self) -> None:
        self.on_exit: ExitListener = lambda _: None
        self.running: dict[str, LaunchSpec] = {}
        self.starts: list[str] = []

    def ports(self, image: str, bound: Mapping[str, int]) -> Mapping[str, int]:
        return bound

    async def start(self, spec: LaunchSpec) -> None:
        if not spec.image.startswith("good"):
            raise EngineError(f"no command for image {spec.image}")
        self.running[spec.name] = spec
        self.starts.append(spec.name)

    async def stop(self, name: str) -> None:
        self.running.pop(name, None)

    async def logs(self, name: str, tail: int | None = None) -> str:
        return ""

    async def close(self) -> None:
        self.running.clear()


class FakeHub:
    """Holds the twin of $edgeAgent; counts the patches."""

    def __init__(self) -> None:
        self.away = False
        self.desired: dict[str, Any] = {"$version": 1}
        self.reported: dict[str, Any] = {}
        self.patches: list[dict[str, Any]] = []

    async def get_twin(self) -> dict[str, Any]:
        if self.away:
            raise UpstreamError("the hub is away")
        return copy.deepcopy({"desired": self.desired, "reported": {**self.reported, "$version": 1}})

    async def patch_reported(self, patch: dict[str, Any]) -> int:
        if self.away:
            raise UpstreamError("the hub is away")
        self.patches.append(patch)
        self.reported = merge_patch(self.reported, patch)
        return len(self.patches)

    @property
    def status(self) -> tuple[int, int]:
        return self.reported["lastDesiredVersion"], self.reported["lastDesiredStatus"]["code"]

    def words(self) -> dict[str, str]:
        return {name: module["runtimeStatus"] for name, module in self.reported["modules"].items()}


class Yard:
    """An agent with its fakes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = ManualClock(1_000_000.0)
        self.engine = FakeEngine()
        self.hub = FakeHub()
        self.identities: list[frozenset[str]] = []
        self.refusal: Exception | None = None
        self.agent = self.make_agent()

    def make_agent(self) -> Agent:
        supervisor = Supervisor(
            self.engine, prepare=self._prepare, release=self._release, clock=self.clock, changed=lambda: None
        )
        return Agent(
            link=self.hub,
            supervisor=supervisor,
            engine=self.engine,
            sync_identities=self._sync,
            own_ports={"8883/tcp": 8883},
            rules=RestartRules(),
            clock=self.clock,
            backup=self.home / "deployment.json",
        )

    async def deploy(self, modules: dict[str, Any], **changes: Any) -> None:
        self.hub.desired = {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker"},
            "systemModules": {"edgeAgent": IMAGE, "edgeHub": {**IMAGE, "status": "running"}},
            "modules": modules,
            "$version": self.hub.desired["$version"] + 1,
            **changes,
        }
        self.agent.connected()
        await self.agent.reconcile()

    def end(self, name: str, exit_code: int) -> None:
        del self.engine.running[name]
        self.engine.on_exit(ModuleExit(name=name, exit_code=exit_code, at=self.clock.now()))

    async def _sync(self, wanted: frozenset[str]) -> bool:
        if self.refusal is not None:
            raise self.refusal
        self.identities.append(wanted)
        return True

    async def _prepare(self, module: ModuleSpec) -> LaunchSpec:
        return LaunchSpec(name=module.name, image=module.image)

    async def _release(self, name: str) -> None:
        return None


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def module(image: str = "good", port: int | None = None, **changes: Any) -> dict[str, Any]:
    settings = {"image": image}
    if port is not None:
        settings["createOptions"] = f'{{"HostConfig": {{"PortBindings": {{"80/tcp": [{{"HostPort": "{port}"}}]}}}}}}'
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings, **changes}


async def test_a_deployment_is_run_and_reported(yard: Yard) -> None:
    await yard.deploy({"a": module(), "b": module(status="stopped")})
    assert set(yard.engine.running) == {"a"}
    assert yard.identities == [{"$edgeAgent", "$edgeHub", "a", "b"}]
    assert (yard.hub.status, yard.hub.words()) == ((2, 200), {"a": "running", "b": "stopped"})
    assert set(yard.hub.reported["systemModules"]) == {"edgeAgent", "edgeHub"}


async def test_only_differences_are_reported(yard: Yard) -> None:
    await yard.deploy({"a": module(), "b": module()})
    await yard.agent.reconcile()
    assert len(yard.hub.patches) == 1
    await yard.deploy({"a": module()})
    assert yard.hub.patches[-1] == {"lastDesiredVersion": 3, "modules": {"b": None}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"schemaVersion": "1.9"}, 412), ({"runtime": {"type": "vm"}}, 400), ({"systemModules": {}}, 400)],
)
async def test_a_refused_deployment_is_reported_and_the_last_good_one_goes_on(
    yard: Yard, changes: dict[str, Any], code: int
) -> None:
    await yard.deploy({"a": module()})
    await yard.deploy({"b": module()}, **changes)
    assert (yard.hub.status, set(yard.engine.running)) == ((3, code), {"a"})


async def test_an_empty_deployment_is_417(yard: Yard) -> None:
    yard.agent.connected()
    await yard.agent.reconcile()
    assert yard.hub.status == (1, 417)


async def test_a_port_clash_is_refused_with_both_names(yard: Yard) -> None:
    await yard.deploy({"a": module(port=5001), "b": module(port=5001)})
    assert yard.hub.status == (2, 400)
    assert "modules a and b both want host port 5001" in yard.hub.reported["lastDesiredStatus"]["description"]
    await yard.deploy({"a": module(port=8883)})
    assert "modules edgeHub and a" in yard.hub.reported["lastDesiredStatus"]["description"]


async def test_an_unknown_image_is_reported_and_does_not_keep_the_others_from_running(yard: Yard) -> None:
    await yard.deploy({"a": module("strange:1"), "b": module()})
    assert (yard.hub.status, yard.hub.words()) == ((2, 500), {"a": "backoff", "b": "running"})
    assert "strange:1" in yard.hub.reported["lastDesiredStatus"]["description"]


async def test_a_module_that_ends_waits_and_comes_back(yard: Yard) -> None:
    await yard.deploy({"a": module()})
    yard.end("a", exit_code=1)
    await yard.agent.reconcile()
    assert yard.hub.words() == {"a": "backoff"}
    yard.clock.advance(10)
    await yard.agent.reconcile()
    assert (yard.hub.words(), yard.hub.reported["modules"]["a"]["restartCount"]) == ({"a": "running"}, 1)
    yard.clock.advance(600)
    await yard.agent.reconcile()
    assert yard.hub.reported["modules"]["a"]["restartCount"] == 0


async def test_a_module_that_keeps_failing_is_given_up_until_it_is_restarted_by_hand(yard: Yard) -> None:
    await yard.deploy({"a": module()})
    for _ in range(21):
        yard.end("a", exit_code=1)
        yard.clock.advance(300)
        await yard.agent.reconcile()
    assert (yard.hub.words(), len(yard.engine.starts)) == ({"a": "failed"}, 21)
    await yard.agent.restart("a")
    await yard.agent.reconcile()
    assert yard.hub.words() == {"a": "running"}


async def test_patches_that_follow_are_merged_and_a_gap_is_read_anew(yard: Yard) -> None:
    await yard.deploy({"a": module()})
    yard.agent.desired_patched({"modules": {"b": module()}, "$version": 3})
    await yard.agent.reconcile()
    assert set(yard.engine.running) == {"a", "b"}
    yard.hub.desired["$version"] = 9
    yard.agent.desired_patched({"modules": {"c": module()}, "$version": 9})
    await yard.agent.reconcile()
    assert set(yard.engine.running) == {"a"}


async def test_without_the_hub_the_last_deployment_on_disk_is_run(yard: Yard) -> None:
    await yard.deploy({"a": module()})
    await yard.engine.close()
    yard.hub.away = True
    await yard.make_agent().reconcile()
    assert set(yard.engine.running) == {"a"}


async def test_a_refusal_of_the_registry_is_reported_and_nothing_is_started(yard: Yard) -> None:
    yard.refusal = RegistryRefusedError("too many modules")
    await yard.deploy({"a": module()})
    assert (yard.hub.status, yard.engine.starts) == ((2, 500), [])


async def test_a_stopped_edge_says_so(yard: Yard) -> None:
    await yard.deploy({"a": module()})
    await yard.agent.close()
    assert (yard.hub.status, yard.hub.words(), yard.engine.running) == ((2, 406), {"a": "stopped"}, {})
