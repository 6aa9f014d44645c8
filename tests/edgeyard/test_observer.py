"""What the demo's observer counts, and how it waits."""

from __future__ import annotations

import asyncio
from typing import Any

from edgeyard.demo.observer import Observer


def telemetry(device: str, body: Any, module: str | None = None) -> dict[str, Any]:
    return {"source": "Telemetry", "deviceId": device, "moduleId": module, "body": body}


def observer() -> Observer:
    return Observer(buildings={"d1": "B1", "d2": "B2"})


def test_rates_are_counted_by_building_within_a_window() -> None:
    seen = observer()
    for moment in (0.0, 1.0, 2.0, 9.0):
        seen.take(telemetry("d1", {}), moment)
    seen.take(telemetry("d2", {}), 1.5)
    assert (seen.rate("B1", 0.0, 2.0), seen.rate("B2", 0.0, 2.0), seen.rate("B3", 0.0, 2.0)) == (1.0, 0.5, 0.0)


def test_only_flagged_scores_are_anomalies() -> None:
    seen = observer()
    seen.take(telemetry("edge-1", {"anomaly": False, "score": 0.1}, "scorer"), 0.0)
    seen.take(telemetry("edge-1", {"anomaly": True, "score": 0.9}, "scorer"), 0.0)
    assert [anomaly["score"] for anomaly in seen.anomalies] == [0.9]


def test_a_modules_messages_do_not_count_as_its_devices() -> None:
    seen = observer()
    seen.take(telemetry("d1", {"sentimentScore": 0.5}, "sentiment"), 0.0)
    assert (seen.senders, len(seen.sentiments), seen.messages) == (set(), 1, 1)


async def test_waiting_ends_when_the_condition_holds_and_tells_when_it_never_did() -> None:
    seen = observer()

    class Door:
        async def events(self) -> Any:
            yield telemetry("d1", {})
            await asyncio.Event().wait()

    follower = asyncio.create_task(seen.follow(Door()))  # type: ignore[arg-type]
    assert await seen.until(lambda: seen.messages == 1, within_s=5)
    assert not await seen.until(lambda: seen.messages == 2, within_s=0.01)
    follower.cancel()
