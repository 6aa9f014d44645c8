"""The daily quota over restarts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from iot_core.clock import ManualClock
from local_hub.controls import quota_record
from local_hub.controls.throttles import Operation
from local_hub.hub import Hub

DAY_S = 24 * 3600


def used(hub: Hub) -> int:
    assert hub.admission.quota is not None
    return hub.admission.quota.used


async def stop(hub: Hub) -> None:
    await hub.stop()
    await hub.store.close()


async def test_a_restart_goes_on_counting_on_the_same_day_alone(
    open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock
) -> None:
    hub = await open_hub(tier="F1", throttle=True)
    for _ in range(3):
        await hub.admission.admit("d", Operation.DEVICE_TO_CLOUD, 100)
    await stop(hub)
    hub = await open_hub(tier="F1", throttle=True)
    assert used(hub) == 3
    clock.advance(DAY_S)
    await hub.admission.admit("d", Operation.DEVICE_TO_CLOUD, 100)
    assert used(hub) == 1
    await stop(hub)


async def test_a_hub_that_is_killed_forgets_its_last_second_at_most(
    open_hub: Callable[..., Awaitable[Hub]], becomes_true: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(quota_record, "WRITE_EVERY_S", 0.01)
    hub = await open_hub(tier="F1", throttle=True)
    await hub.admission.admit("d", Operation.TWIN_READ)
    select = "SELECT used FROM daily_quota"
    await becomes_true(lambda: hub.store.read(lambda connection: connection.execute(select).fetchone()) == (1,))
    await stop(hub)


async def test_a_hub_that_throttles_nothing_keeps_no_count(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    hub = await open_hub()
    await hub.admission.admit("d", Operation.DEVICE_TO_CLOUD, 100)
    assert hub.store.read(lambda connection: connection.execute("SELECT * FROM daily_quota").fetchone()) is None
    await stop(hub)
