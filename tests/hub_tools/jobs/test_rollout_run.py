"""A rollout under way: waves, bake, gates, abort, approval, and going on after a crash at every step."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs.cohorts import ranked
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal, JournalView
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.planning import NoDeviceMatchesError
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_run import (
    APPROVAL_NOTE,
    Approval,
    RolloutProgress,
    RolloutReport,
    WaveOffer,
    run_rollout,
)
from hub_tools.jobs.rollout_states import NOTE, RolloutState
from hub_tools.jobs.runner import JobInterruptedError
from hub_tools.service import HubService, HubUnreachableError
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

ROLLOUT = Rollout(JobSpec(where="*", desired={"rate": 5}, job_id="job-1")).canary(2).then(50, 100)
JOB = ROLLOUT.spec.job_id


def fleet(number: int = 10) -> FakeHub:
    return FakeHub(*(f"d{n}" for n in range(number)))


async def carry_out(hub: FakeHub, folder: Path, rollout: Rollout = ROLLOUT, **options: Any) -> RolloutReport:
    timing = options.pop("timing", None) or by_hand()[1]
    service = cast(HubService, hub)
    begun = (folder / rollout.spec.job_id).exists()
    journal = Journal.open(folder, JOB) if begun else Journal.create(folder, rollout.spec)
    with journal:
        path = make_path("direct", service, rollout.spec, timing=timing)
        return await run_rollout(service, rollout, path, journal=journal, timing=timing, **options)


def have_it(hub: FakeHub) -> int:
    return sum(section.values.get("rate") == 5 for section in hub.desired.values())


async def test_all_waves_are_gone_through_with_the_canary_first(tmp_path: Path) -> None:
    hub = fleet()
    sizes: list[int] = []

    def look(step: RolloutProgress) -> None:
        if step.state is RolloutState.BAKING:
            sizes.append(have_it(hub))

    report = await carry_out(hub, tmp_path, on_step=look)
    assert (report.state, report.complete, sizes) == (RolloutState.DONE, True, [2, 5, 10])
    assert Counter(hub.calls).most_common(1)[0][1] == 1, "no device is written to twice"


async def test_the_bake_is_waited_for_between_waves_and_not_after_the_last(tmp_path: Path) -> None:
    clock, timing = by_hand()
    await carry_out(fleet(), tmp_path, ROLLOUT.bake("30m"), timing=timing)
    assert clock.monotonic() == pytest.approx(2 * 1800.0, abs=10.0)


async def test_a_gate_holds_the_rollout_until_it_is_met(tmp_path: Path) -> None:
    hub = fleet()
    hub.answers = dict.fromkeys(hub.answers, "too low")
    rollout = ROLLOUT.require("tags.fine = true")
    held = await carry_out(hub, tmp_path, rollout)
    assert (held.state, have_it(hub)) == (RolloutState.HELD, 2)
    assert "2 of 2 devices do not meet it" in held.cause
    hub.tags = {name: {"fine": True} for name in hub.tags}
    assert (await carry_out(hub, tmp_path, rollout)).state is RolloutState.DONE


@pytest.mark.parametrize("said", ["too low", None])
async def test_whoever_goes_on_where_devices_did_not_follow_gives_them_the_change_again(
    tmp_path: Path, said: str | None
) -> None:
    hub = fleet()
    hub.answers = dict.fromkeys(hub.answers, said)
    rollout = ROLLOUT.require("acknowledged >= 100%")
    held = await carry_out(hub, tmp_path, rollout)
    assert (held.state, held.partly, have_it(hub)) == (RolloutState.HELD, True, 2)
    hub.answers = dict.fromkeys(hub.answers, "ok")
    report = await carry_out(hub, tmp_path, rollout)
    assert (report.state, report.complete) == (RolloutState.DONE, True)
    written = Counter(call for call in hub.calls if call.startswith("patch"))
    assert Counter(written.values()) == {1: 8, 2: 2}


async def test_failures_of_an_earlier_wave_that_passed_are_not_tried_again(tmp_path: Path) -> None:
    hub = fleet()
    rollout = ROLLOUT.require("is_defined(tags.fine)")
    canary = ranked(list(hub.desired), ROLLOUT.cohort_salt)[:2]
    hub.answers[canary[0]] = "too low"
    hub.tags |= {name: {"fine": True} for name in canary}
    held = await carry_out(hub, tmp_path, rollout)
    assert (held.state, held.wave) == (RolloutState.HELD, 2)
    hub.tags = {name: {"fine": True} for name in hub.tags}
    assert (await carry_out(hub, tmp_path, rollout)).state is RolloutState.DONE
    written = Counter(call for call in hub.calls if call.startswith("patch"))
    assert set(written.values()) == {1}


async def test_a_wave_that_is_held_bakes_again_only_where_a_device_has_followed(tmp_path: Path) -> None:
    hub = fleet()
    hub.answers = dict.fromkeys(hub.answers, "too low")
    rollout = ROLLOUT.require("acknowledged >= 100%").bake("30m")
    clock, timing = by_hand()
    await carry_out(hub, tmp_path, rollout, timing=timing)
    baked = clock.monotonic()
    assert (await carry_out(hub, tmp_path, rollout, timing=timing)).state is RolloutState.HELD
    assert clock.monotonic() - baked < 60
    hub.answers = dict.fromkeys(hub.answers, "ok")
    assert (await carry_out(hub, tmp_path, rollout, timing=timing)).state is RolloutState.DONE
    assert clock.monotonic() - baked >= 2 * 1800, "after the first wave again, and after the second"


async def test_too_many_failures_end_it_for_good(tmp_path: Path) -> None:
    hub = fleet()
    hub.answers = dict.fromkeys(hub.answers, "too low")
    rollout = ROLLOUT.abort_if("20% of 2")
    report = await carry_out(hub, tmp_path, rollout)
    assert (report.state, report.cause) == (RolloutState.ABORTED, "2 of 2 devices failed, more than 20%")
    assert (have_it(hub), report.complete, report.partly) == (2, False, False)
    with pytest.raises(InputError, match="aborted"):
        await carry_out(hub, tmp_path, rollout)


async def test_failures_of_earlier_waves_count_for_the_sample(tmp_path: Path) -> None:
    hub = fleet()
    hub.answers = dict.fromkeys(hub.answers, "too low")
    report = await carry_out(hub, tmp_path, ROLLOUT.abort_if("20% of 4"))
    assert (report.state, report.wave) == (RolloutState.ABORTED, 2)
    assert have_it(hub) == 5


async def test_a_wave_that_is_not_approved_pauses_the_rollout(tmp_path: Path) -> None:
    hub = fleet()
    offers: list[tuple[int, int, int]] = []

    async def first_only(offer: WaveOffer) -> Approval | None:
        offers.append((offer.number, offer.of, offer.devices))
        return Approval(operator="anna@here", reason="quiet night") if offer.number == 1 else None

    rollout = ROLLOUT.approve()
    report = await carry_out(hub, tmp_path, rollout, approve=first_only)
    assert (report.state, report.cause) == (RolloutState.PAUSED, "wave 2 was not approved")
    assert (offers, have_it(hub)) == ([(1, 3, 2), (2, 3, 3)], 2)
    noted = JournalView.look(tmp_path, rollout.spec.job_id).last(APPROVAL_NOTE)
    assert (noted["wave"], noted["operator"], noted["reason"]) == (1, "anna@here", "quiet night")
    assert (await carry_out(hub, tmp_path, rollout)).complete


async def test_a_stop_ends_the_wait_for_an_approval(tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def nobody(offer: WaveOffer) -> Approval | None:
        stop.set()
        await asyncio.Event().wait()
        return None

    report = await carry_out(fleet(), tmp_path, ROLLOUT.approve(), approve=nobody, stop=stop)
    assert (report.state, report.cause) == (RolloutState.PAUSED, "stopped")


async def test_a_stop_while_it_bakes_keeps_the_time_that_is_left(tmp_path: Path) -> None:
    hub, stop = fleet(), asyncio.Event()
    clock, timing = by_hand()

    def look(step: RolloutProgress) -> None:
        if step.state is RolloutState.BAKING:
            stop.set()

    rollout = ROLLOUT.bake("1h")
    report = await carry_out(hub, tmp_path, rollout, timing=timing, stop=stop, on_step=look)
    assert (report.state, have_it(hub)) == (RolloutState.PAUSED, 2)
    clock.advance(3600.0)
    before = clock.monotonic()
    assert (await carry_out(hub, tmp_path, rollout, timing=timing)).complete
    assert clock.monotonic() - before == pytest.approx(3600.0, abs=10.0), "only the second wave's bake"


async def test_devices_that_are_away_stay_written_and_it_is_not_complete(tmp_path: Path) -> None:
    hub = fleet()
    hub.connected["d3"] = False
    report = await carry_out(hub, tmp_path)
    assert (report.state, report.complete, report.partly) == (RolloutState.DONE, False, True)


async def test_a_rate_is_kept(tmp_path: Path) -> None:
    clock, timing = by_hand()
    rollout = ROLLOUT.at_most(2)
    service = cast(HubService, fleet())
    path = make_path("direct", service, rollout.spec, most_per_second=rollout.most_per_second, timing=timing)
    with Journal.create(tmp_path, rollout.spec) as journal:
        await run_rollout(service, rollout, path, journal=journal, timing=timing)
    assert clock.monotonic() >= 4.0


async def test_devices_that_no_longer_match_are_left_out(tmp_path: Path) -> None:
    hub = FakeHub(*(f"d{n}" for n in range(10)), tags={"chosen": True})
    rollout = Rollout(JobSpec(where="tags.chosen = true", desired={"rate": 5}, job_id=JOB)).canary(2).then(100)

    def leave(step: RolloutProgress) -> None:
        if step.state is RolloutState.BAKING and step.wave == 1:
            hub.tags = {name: {} for name in hub.tags}

    report = await carry_out(hub, tmp_path, rollout, on_step=leave)
    assert (report.state, have_it(hub)) == (RolloutState.DONE, 2)


async def test_nobody_to_roll_out_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoDeviceMatchesError):
        await carry_out(FakeHub(), tmp_path)


async def test_a_hub_that_goes_away_leaves_a_rollout_to_go_on_with(tmp_path: Path) -> None:
    hub = fleet()

    def cut(step: RolloutProgress) -> None:
        if step.state is RolloutState.RUNNING and step.wave == 2:
            hub.patch_twin = away  # type: ignore[method-assign]

    whole = hub.patch_twin

    async def away(*_: Any, **__: Any) -> Any:
        raise HubUnreachableError("the hub is away")

    with pytest.raises(JobInterruptedError, match=f"job rollout --resume {JOB}"):
        await carry_out(hub, tmp_path, on_step=cut)
    hub.patch_twin = whole  # type: ignore[method-assign]
    assert (await carry_out(hub, tmp_path)).complete


class PowerCut(BaseException):
    """The process is gone, and with it all that was not synced."""


async def crash_at(hub: FakeHub, folder: Path, sync: int, *, after: bool) -> bool:
    """Run until that sync, before or after it reached the disk; False when the rollout was over by then."""
    service, timing = cast(HubService, hub), by_hand()[1]
    journal = Journal.create(folder, ROLLOUT.spec)
    whole, left = journal.sync, iter(range(sync))

    def cut() -> None:
        if next(left, None) is None:
            if after:
                whole()
            raise PowerCut
        whole()

    journal.sync = cut  # type: ignore[method-assign]
    try:
        path = make_path("direct", service, ROLLOUT.spec, timing=timing)
        await run_rollout(service, ROLLOUT, path, journal=journal, timing=timing)
    except PowerCut:
        return True
    finally:
        journal._waiting.clear()
        journal.sync = whole  # type: ignore[method-assign]
        journal.close()
    return False


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_step_repeats_and_skips_no_device(tmp_path: Path, after: bool) -> None:
    for sync in range(1000):
        hub, folder = fleet(), tmp_path / f"{sync}"
        if not await crash_at(hub, folder, sync, after=after):
            break
        with Journal.open(folder, JOB) as journal:
            ended = journal.last(NOTE).get("state") == "done"
        if not ended:
            report = await carry_out(hub, folder)
            assert report.complete, f"crash at sync {sync}"
        writes = [call for call in hub.calls if call.startswith("patch")]
        assert Counter(writes) == {f"patch d{n}": 1 for n in range(10)}, f"crash at sync {sync}"
    assert sync > 20, "the rollout has that many steps on disk"
