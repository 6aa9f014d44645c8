"""The lease: one operator at a time, for as long as it is renewed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hub_tools.service import HubService
from hub_tools.stacks.lease import Lease, LeaseHeldError, LeaseLostError, LeaseRules, leased
from iot_core.clock import ManualClock, iso
from iot_core.errors import HubError

START = 1_800_000_000.0
ID = "edgeyard-lease-fleet-dev"


class FakeHub:
    """Configurations with etags, as far as a lease uses them."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.writes = 0

    async def get_configuration(self, configuration_id: str) -> dict[str, Any]:
        if configuration_id not in self.held:
            raise HubError(404000, "ConfigurationNotFound", 404, "gone")
        return self.held[configuration_id]

    async def put_configuration(
        self, configuration_id: str, body: dict[str, Any], *, etag: str | None = None
    ) -> dict[str, Any]:
        present = self.held.get(configuration_id)
        if etag is None and present is not None:
            raise HubError(409000, "ConfigurationAlreadyExists", 409, "there")
        if etag is not None and (present is None or present["etag"] != etag):
            raise HubError(412002, "PreconditionFailed", 412, "moved")
        self.writes += 1
        self.held[configuration_id] = {**body, "etag": f"e{self.writes}"}
        return self.held[configuration_id]

    async def delete_configuration(self, configuration_id: str, *, etag: str | None = None) -> None:
        if self.held[configuration_id]["etag"] != etag:
            raise HubError(412002, "PreconditionFailed", 412, "moved")
        del self.held[configuration_id]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def fake() -> FakeHub:
    return FakeHub()


def lease(fake: Any, clock: ManualClock, token: str = "mine", holder: str = "ann@desk", seconds: float = 60) -> Lease:
    service: HubService = fake
    return Lease(service, "fleet", "dev", token, holder, LeaseRules(duration_s=seconds, clock=clock))


async def test_it_is_a_configuration_that_targets_nobody(fake: FakeHub, clock: ManualClock) -> None:
    async with leased(lease(fake, clock)):
        held = fake.held[ID]
        assert held["targetCondition"] == ""
        assert held["labels"]["edgeyard-holder"] == "ann@desk"
        assert held["labels"]["edgeyard-expires"] == iso(START + 60)
    assert fake.held == {}


async def test_another_is_told_who_holds_it_and_until_when(fake: FakeHub, clock: ManualClock) -> None:
    await lease(fake, clock).acquire()
    with pytest.raises(LeaseHeldError) as caught:
        await lease(fake, clock, "theirs", "bob@laptop").acquire()
    assert str(caught.value) == (
        "ann@desk is changing fleet/dev and holds its lease until 2027-01-15 08:01:00 (UTC): try again then"
    )


async def test_one_that_has_run_out_is_taken_over_and_lost_to_its_holder(fake: FakeHub, clock: ManualClock) -> None:
    mine = lease(fake, clock)
    await mine.acquire()
    clock.advance(61)
    await lease(fake, clock, "theirs", "bob@laptop").acquire()
    with pytest.raises(LeaseLostError):
        mine.check()
    with pytest.raises(LeaseLostError):
        await mine.renew()
    await mine.release()
    assert fake.held[ID]["labels"]["edgeyard-holder"] == "bob@laptop"


async def test_ones_own_is_taken_up_again_at_once(fake: FakeHub, clock: ManualClock) -> None:
    await lease(fake, clock).acquire()
    again = lease(fake, clock)
    await again.acquire()
    again.check()


async def test_it_is_good_for_longer_when_renewed(fake: FakeHub, clock: ManualClock) -> None:
    mine = lease(fake, clock)
    await mine.acquire()
    clock.advance(50)
    await mine.renew()
    clock.advance(50)
    mine.check()


async def test_it_is_renewed_while_it_is_held(fake: FakeHub, clock: ManualClock) -> None:
    async with leased(lease(fake, clock, seconds=0.03)):
        async with asyncio.timeout(10):
            while fake.writes < 3:
                await asyncio.sleep(0)


async def test_of_two_who_come_at_once_one_gets_it(fake: FakeHub, clock: ManualClock) -> None:
    mine, theirs = lease(fake, clock), lease(fake, clock, "theirs", "bob@laptop")
    both = await asyncio.gather(mine.acquire(), theirs.acquire(), return_exceptions=True)
    assert [type(result) for result in both].count(LeaseHeldError) == 1


async def test_a_write_whose_answer_was_lost_is_its_own(fake: FakeHub, clock: ManualClock) -> None:
    class Losing(FakeHub):
        async def put_configuration(
            self, configuration_id: str, body: dict[str, Any], *, etag: str | None = None
        ) -> dict[str, Any]:
            await super().put_configuration(configuration_id, body, etag=etag)
            raise HubError(409000, "ConfigurationAlreadyExists", 409, "the call was repeated")

    mine = lease(Losing(), clock)
    await mine.acquire()
    mine.check()
