"""Rollouts whose devices carry a tag with their wave: what is tagged, when, at what cost, and after a crash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs import Capacity, JobFailedError, JobSpec, Rollout, make_path, run_rollout
from hub_tools.jobs.cohort_tags import INDEX_S
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.rollout import is_rollout, rollout_of
from hub_tools.jobs.rollout_run import RolloutProgress, RolloutReport
from hub_tools.jobs.rollout_states import NOTE, RolloutState
from hub_tools.jobs.storage import FolderStorage
from hub_tools.jobs.undo import undo_job
from hub_tools.service import HubService, Json
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

SPEC = JobSpec(where="tags.site = 'a'", desired={"rate": 5}, job_id="rollout-1")
ROLLOUT = Rollout(SPEC).canary(2).then(50, 100).salted("s").cohort_tag("wave")
JOB = SPEC.job_id
DEVICES = [f"d{number}" for number in range(10)]


class CountingHub(FakeHub):
    """Notes who is written to with what."""

    def __init__(self, *devices: str) -> None:
        super().__init__(*devices, tags={"site": "a"})
        self.written: list[tuple[str, Json]] = []

    def write(self, name: str, patch: Json) -> None:
        self.written.append((name, {key: patch[key] for key in ("tags", "properties") if key in patch}))
        super().write(name, patch)

    @property
    def tagged(self) -> Counter[str]:
        return Counter(name for name, patch in self.written if "tags" in patch)

    @property
    def changed(self) -> Counter[str]:
        return Counter(name for name, patch in self.written if "properties" in patch)

    @property
    def waves(self) -> Counter[Any]:
        return Counter(tags.get("wave") for tags in self.tags.values())


async def carry_out(
    hub: FakeHub, folder: Path, rollout: Rollout = ROLLOUT, path: str = "direct", **options: Any
) -> RolloutReport:
    timing = options.pop("timing", None) or by_hand()[1]
    service, job = cast(HubService, hub), rollout.spec.job_id
    begun = (folder / job / "journal").exists() and any(FolderStorage(folder / job).lines())
    with Journal.open(folder, job) if begun else Journal.create(folder, rollout.spec) as journal:
        way = make_path(path, service, rollout.spec, capacity=options.get("capacity"), timing=timing)
        return await run_rollout(service, rollout, way, journal=journal, jobs=folder, timing=timing, **options)


async def test_every_device_has_its_waves_number_before_the_first_wave(tmp_path: Path) -> None:
    hub, seen = CountingHub(*DEVICES), []

    def look(step: RolloutProgress) -> None:
        seen.append(step.state)
        if step.state is RolloutState.WAITING and step.wave == 1:
            assert (hub.waves, hub.changed) == ({1: 2, 2: 3, 3: 5}, Counter())

    report = await carry_out(hub, tmp_path, on_step=look)
    assert (report.complete, seen[:2]) == (True, [RolloutState.TAGGING, RolloutState.WAITING])
    assert set(hub.tagged.values()) == set(hub.changed.values()) == {1}


async def test_a_second_rollout_with_the_same_salt_tags_nobody(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    await carry_out(hub, tmp_path)
    again = Rollout(JobSpec(where=SPEC.where, desired={"rate": 6}, job_id="rollout-2"))
    await carry_out(hub, tmp_path, again.canary(2).then(50, 100).salted("s").cohort_tag("wave"))
    assert (set(hub.tagged.values()), set(hub.changed.values())) == ({1}, {2})


async def test_the_tags_of_a_wave_are_taken_back_like_any_job(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    hub.tags["d0"]["wave"] = 9
    await carry_out(hub, tmp_path)
    for wave in (1, 2, 3):
        with Journal.open(tmp_path, f"{JOB}-cohort-{wave}") as journal:
            assert (await undo_job(cast(HubService, hub), journal)).complete
    assert hub.waves == {None: 9, 9: 1}


@pytest.mark.parametrize("path", ["direct", "bulk", "jobs"])
async def test_each_path_changes_each_device_once(tmp_path: Path, path: str) -> None:
    hub = CountingHub(*DEVICES)
    report = await carry_out(hub, tmp_path, path=path)
    assert (report.complete, hub.changed) == (True, Counter(dict.fromkeys(DEVICES, 1)))


async def test_a_wave_is_one_job_of_the_hub_by_the_tag(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    await carry_out(hub, tmp_path, path="jobs", capacity=Capacity.parse("S1"))
    conditions = [job["queryCondition"] for job in hub.jobs.values()]
    assert conditions == [f"tags.wave = {wave} AND (tags.site = 'a')" for wave in (1, 2, 3)]


async def test_devices_are_named_where_the_tag_would_take_more(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES, "elsewhere")
    hub.tags["elsewhere"] = {"site": "b", "wave": 2}
    holder = next(iter(hub.desired))
    hub.write(holder, {"properties": {"desired": {"rate": 5}}})
    hub.written.clear()
    await carry_out(hub, tmp_path, path="jobs")
    conditions = [job["queryCondition"] for job in hub.jobs.values()]
    assert conditions[1].startswith("deviceId IN")
    assert sum(condition.startswith("tags.wave") for condition in conditions) < 3
    assert hub.changed == Counter({name: 1 for name in DEVICES if name != holder})


async def test_another_rollout_with_the_same_tag_in_between_changes_no_device_of_a_wave(tmp_path: Path) -> None:
    hub, waves = CountingHub(*DEVICES), dict[int, set[str]]()
    mine: dict[str, Any] = {}

    def other(step: RolloutProgress) -> None:
        if step.state is RolloutState.WAITING and step.wave == 1:
            mine.update({name: tags["wave"] for name, tags in hub.tags.items()})
        if step.state is RolloutState.RUNNING and step.wave == 2:
            hub.tags = {name: {**tags, "wave": 4 - tags["wave"]} for name, tags in hub.tags.items()}
        if step.state is RolloutState.BAKING:
            waves[step.wave] = set(hub.changed)

    assert (await carry_out(hub, tmp_path, path="jobs", on_step=other)).complete
    assert waves == {wave: {name for name in DEVICES if mine[name] <= wave} for wave in (1, 2, 3)}


async def test_a_device_that_leaves_as_the_job_begins_is_not_changed(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    create = hub.create_job

    async def leave(job_id: str, job: Json) -> Json:
        if job["queryCondition"].startswith("tags.wave = 3"):
            gone.append(next(name for name, tags in hub.tags.items() if tags["wave"] == 3))
            hub.tags[gone[0]]["site"] = "b"
        return await create(job_id, job)

    gone: list[str] = []
    hub.create_job = leave  # type: ignore[method-assign]
    report = await carry_out(hub, tmp_path, path="jobs")
    assert (report.complete, hub.changed) == (False, Counter({name: 1 for name in DEVICES if name != gone[0]}))
    with Journal.open(tmp_path, JOB) as journal:
        assert journal.standings()[gone[0]].cause == "did not match when the hub's job began"


async def test_a_budget_keeps_to_jobs_by_id(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    await carry_out(hub, tmp_path, path="jobs", capacity=Capacity.parse("S1", share=0.5))
    assert all(job["queryCondition"].startswith("deviceId IN") for job in hub.jobs.values())


async def test_a_device_that_somebody_tags_while_a_job_begins_is_told(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES, "stranger")
    hub.tags["stranger"] = {}
    create = hub.create_job

    async def late(job_id: str, job: Json) -> Json:
        hub.tags["stranger"] = {"site": "a", "wave": 1}
        return await create(job_id, job)

    hub.create_job = late  # type: ignore[method-assign]
    with pytest.raises(JobFailedError, match=r"1 devices that nobody had read.*They are stranger"):
        await carry_out(hub, tmp_path, path="jobs")


async def test_a_device_that_cannot_be_tagged_pauses_it_before_any_wave(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    hub.failures.clear()
    write = hub.change_devices

    async def refuse(items: Any) -> Any:
        result = await write([item for item in items if item["id"] != "d4"])
        broken = [{"deviceId": "d4", "errorCode": "ThrottlingException"}] if any(i["id"] == "d4" for i in items) else []
        return type(result)(errors=broken, warnings=[])

    hub.change_devices = refuse  # type: ignore[method-assign]
    report = await carry_out(hub, tmp_path)
    assert report.state is RolloutState.PAUSED
    assert "is not tagged yet: 1 devices failed, such as one with: ThrottlingException" in report.cause
    assert hub.changed == Counter()
    hub.change_devices = write  # type: ignore[method-assign]
    assert (await carry_out(hub, tmp_path)).complete
    assert set(hub.tagged.values()) == {1}


async def test_the_waves_wait_until_queries_know_the_tags(tmp_path: Path) -> None:
    hub, (clock, timing) = CountingHub(*DEVICES), by_hand()
    hub.lagging = {name: hub.twin(name) | {"tags": {"site": "a"}} for name in DEVICES}
    shown: list[float] = []

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock.monotonic() >= 30.0:
            hub.lagging = {}

    def look(step: RolloutProgress) -> None:
        if step.state is RolloutState.WAITING:
            shown.append(clock.monotonic())

    report = await carry_out(hub, tmp_path, path="jobs", timing=type(timing)(clock=clock, sleep=sleep), on_step=look)
    assert (report.complete, 30.0 <= shown[0] < 40.0) == (True, True)
    assert all(job["queryCondition"].startswith("tags.wave") for job in hub.jobs.values())


async def test_an_index_that_never_knows_them_holds_nobody_up_and_changes_nobody_else(tmp_path: Path) -> None:
    hub, (clock, timing) = CountingHub(*DEVICES), by_hand()
    hub.lagging = {name: hub.twin(name) | {"tags": {"site": "a"}} for name in DEVICES}
    shown: list[float] = []
    rollout = Rollout(JobSpec(where=SPEC.where, desired={"rate": 5}, wait=False, job_id=JOB)).then(50, 100)
    report = await carry_out(
        hub, tmp_path, rollout.cohort_tag("wave"), "jobs", timing=timing, on_step=lambda _: shown.append(clock.now())
    )
    assert (report.complete, hub.changed) == (True, Counter(dict.fromkeys(DEVICES, 1)))
    assert INDEX_S <= shown[1] - shown[0] < 2 * INDEX_S


class PowerCut(BaseException):
    """The process is gone, and with it all that was not on disk."""


class Power:
    """Goes away at the n-th write of any journal, before or after it reached the disk, and comes back by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.on, self.after = 10**9, True, False
        whole: Callable[[FolderStorage, bytes], None] = FolderStorage.append

        def append(storage: FolderStorage, data: bytes) -> None:
            self.left -= self.on
            self.on = self.on and self.left > 0
            if not self.on and not (self.after and self.left == 0):
                raise PowerCut
            whole(storage, data)
            if not self.on:
                self.left = -1
                raise PowerCut

        monkeypatch.setattr(FolderStorage, "append", append)


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_step_tags_and_changes_each_device_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    power = Power(monkeypatch)
    for step in range(1, 1000):
        hub, folder = CountingHub(*DEVICES), tmp_path / f"{step}"
        power.left, power.on, power.after = step, True, after
        try:
            await carry_out(hub, folder)
            break
        except PowerCut:
            power.left, power.on = 10**9, True
        if not ended(folder):
            assert (await carry_out(hub, folder)).complete, f"crash at step {step}"
        assert hub.tagged == hub.changed == Counter(dict.fromkeys(DEVICES, 1)), f"crash at step {step}"
        assert hub.waves == {1: 2, 2: 3, 3: 5}
    assert step > 30, "tagging and waves have that many steps on disk"


def ended(folder: Path) -> bool:
    if not any(FolderStorage(folder / JOB).lines()):
        return False
    with Journal.open(folder, JOB) as journal:
        return journal.last(NOTE).get("state") == "done"


def test_the_job_that_tags_a_wave_is_no_rollout_itself() -> None:
    assert (is_rollout(JOB), is_rollout(f"{JOB}-cohort-2")) == (True, False)
    assert (rollout_of(f"{JOB}-cohort-2"), rollout_of(JOB), rollout_of("job-cohort-2")) == (JOB, "", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: ROLLOUT.cohort_tag(""), "write the name of a tag"),
        (lambda: ROLLOUT.cohort_tag("a.b"), "letters, digits and _"),
        (lambda: Rollout(JobSpec(where="*", tags={"wave": 1})).cohort_tag("wave"), "sets that tag itself"),
        (lambda: Rollout(JobSpec(where="*", tags={"a": 1}, job_id="r" * 40)).cohort_tag("w"), "is not allowed"),
        (lambda: Rollout(SPEC).check_path("jobs"), "--cohort-tag NAME"),
        (lambda: ROLLOUT.at_most(3).check_path("jobs"), "keeps to no --rate"),
        (lambda: ROLLOUT.check_path("pigeon"), "--path pigeon"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words) as told:
        change()
    assert "\n" not in str(told.value)


async def test_devices_that_are_gone_need_no_tag(tmp_path: Path) -> None:
    hub = CountingHub(*DEVICES)
    write = hub.change_devices

    async def gone(items: Any) -> Any:
        hub.desired.pop("d3", None)
        return await write(items)

    hub.change_devices = gone  # type: ignore[method-assign]
    report = await carry_out(hub, tmp_path, timing=by_hand()[1])
    assert report.state is RolloutState.DONE
    assert hub.changed == Counter({name: 1 for name in DEVICES if name != "d3"})
