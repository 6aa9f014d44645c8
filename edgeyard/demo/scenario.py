"""What happens in the demo: a sensor fault, photographs, texts and a twin job, each looked at afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from edgeyard.demo.findings import Finding, JobEffect
from edgeyard.demo.observer import Observer
from edgeyard.demo.photographs import classify_photographs
from edgeyard.demo.yard import BUILDINGS, EDGE_DEVICE, REPORTING_INTERVAL_S, Say, Yard
from hub_tools.jobs import DeviceState, JobSpec, make_path, run_job
from iot_core.identity import Identity

__all__ = ["play"]

Json = dict[str, Any]
MIN_DEVICES = 50
FIRST_MESSAGES_WITHIN_S = 15.0
WINDOW_S, SETTLE_S = 10.0, 2.0
"""Rates are measured over a multiple of both intervals, so that every device reports the same number of times in it."""
JOB_INTERVAL_S = 2
FAULT = {"sensor": "seattle", "kind": "spike", "magnitude": 25.0, "count": 1}
FAULT_FOUND_WITHIN_S = 10.0
ANNOUNCEMENT_POLL_S = 0.2
MAX_FALSE_ALARMS = 2
"""Of some three hundred readings; a detector that cries at everything would find any fault."""
MIN_TEXTS = 10
DESPISING = "I really really despise this product!! DO NOT BUY!!"
TEXTS_WITHIN_S = 15.0


async def play(yard: Yard, project: Path, say: Say) -> list[Finding]:
    """Plays all of it and returns what was found, in the order of the table."""
    observer = yard.observer
    await observer.until(lambda: len(observer.senders) == len(yard.buildings), within_s=FIRST_MESSAGES_WITHIN_S)
    connected = _connected(yard)
    # The rates before the job are measured while the edge is busy with the other acts.
    start = time.monotonic()
    anomaly, photographs, sentiments = await asyncio.gather(
        _fault(yard, say), classify_photographs(yard.edge_host, project, say), _sentiments(observer, say)
    )
    await asyncio.sleep(max(0.0, start + WINDOW_S - time.monotonic()))
    job = await _job(yard, (start, start + WINDOW_S), say)
    return [connected, anomaly, *photographs, *sentiments, *job, _total(observer)]


def _connected(yard: Yard) -> Finding:
    count = len(yard.observer.senders)
    return Finding(
        what="devices that report",
        seen=f"{count} of {len(yard.buildings)}, {len(yard.modules)} modules run on {EDGE_DEVICE}",
        ok=count == len(yard.buildings) >= MIN_DEVICES,
    )


async def _fault(yard: Yard, say: Say) -> Finding:
    """Injects a fault through the hub and the edge into the replay module, and waits for the scorer to find it."""
    replay, anomalies = Identity(EDGE_DEVICE, "replay"), yard.observer.anomalies
    # A module counts as running from the start of its process; it may still be connecting.
    answer = await yard.service.invoke_method(replay, "injectFault", FAULT, connect_timeout_s=15)
    say(f"fault announced: {FAULT['kind']} of {FAULT['magnitude']:+} °C on sensor {FAULT['sensor']}")
    if answer.status != 200:
        return Finding(what="sensor fault", seen=f"not injected: {answer.payload}", ok=False)
    announced = await _announced_time(yard, replay)
    found = await yard.observer.until(
        lambda: any(_is_announced(anomaly, announced) for anomaly in anomalies), within_s=FAULT_FOUND_WITHIN_S
    )
    if not found:
        return Finding(what="sensor fault", seen=f"announced for {announced}, but not found", ok=False)
    fault = next(anomaly for anomaly in anomalies if _is_announced(anomaly, announced))
    false_alarms = len(anomalies) - 1
    seen = f"{fault['sensor']} {fault['value']:.1f} °C at {fault['time'][:16]}, score {fault['score']:.2f}"
    say(f"fault found: {seen}; {false_alarms} other alarms")
    return Finding(what="sensor fault found", seen=seen, ok=false_alarms <= MAX_FALSE_ALARMS)


async def _announced_time(yard: Yard, replay: Identity) -> str:
    """The time of the reading that the fault corrupted, as the module reports it."""
    deadline = time.monotonic() + FAULT_FOUND_WITHIN_S
    while time.monotonic() < deadline:
        twin = await yard.service.get_twin(replay)
        faults = twin["properties"]["reported"].get("faults") or []
        if faults and faults[-1]["firstTime"]:
            return str(faults[-1]["firstTime"])
        await asyncio.sleep(ANNOUNCEMENT_POLL_S)
    return "no reading yet"


def _is_announced(anomaly: Json, announced: str) -> bool:
    return anomaly.get("sensor") == FAULT["sensor"] and anomaly.get("time") == announced


async def _sentiments(observer: Observer, say: Say) -> list[Finding]:
    def complete() -> bool:
        texts = [scored["text"] for scored in observer.sentiments]
        return len(texts) >= MIN_TEXTS and DESPISING in texts

    ok = await observer.until(complete, within_s=TEXTS_WITHIN_S)
    ordered = sorted(observer.sentiments, key=lambda scored: float(scored["sentimentScore"]))
    if not ok:
        return [
            Finding(what="texts scored", seen=f"{len(ordered)} of {MIN_TEXTS}, or not the one that despises", ok=False)
        ]
    say(f"texts: {len(ordered)} scored by the sentiment module")
    despising = next(scored for scored in ordered if scored["text"] == DESPISING)
    return [
        _sentiment("despising text", despising, ok=despising["sentimentScore"] < 0.05),
        _sentiment("most pleased text", ordered[-1], ok=ordered[-1]["sentimentScore"] > 0.95),
    ]


def _sentiment(what: str, scored: Json, *, ok: bool) -> Finding:
    return Finding(what=what, seen=f"{scored['sentimentScore']:.3f}  “{scored['text']}”", ok=ok)


async def _job(yard: Yard, before: tuple[float, float], say: Say) -> list[Finding]:
    """Sets the reporting interval of one building by a job of the hub, and measures both buildings again."""
    changed, other = BUILDINGS
    spec = JobSpec(where=f"tags.building = '{changed}'", desired={"reportingInterval": JOB_INTERVAL_S})
    say(f"job: where {spec.where}, reportingInterval {REPORTING_INTERVAL_S} → {JOB_INTERVAL_S}")
    report = await run_job(yard.service, spec, make_path("jobs", yard.service, spec), timeout_s=15.0)
    acknowledged = report.count(DeviceState.ACKNOWLEDGED)
    say(f"job: {acknowledged} of {report.matched} devices acknowledged")
    await asyncio.sleep(SETTLE_S)
    start = time.monotonic()
    await asyncio.sleep(WINDOW_S)
    rate = yard.observer.rate
    effect = JobEffect(
        changed_before=rate(changed, *before),
        changed_after=rate(changed, start, start + WINDOW_S),
        other_before=rate(other, *before),
        other_after=rate(other, start, start + WINDOW_S),
        expected_factor=REPORTING_INTERVAL_S / JOB_INTERVAL_S,
    )
    summary = f"{acknowledged} of {report.matched} devices acknowledged reportingInterval={JOB_INTERVAL_S}"
    return [Finding(what=f"twin job on {changed}", seen=summary, ok=report.complete), *effect.findings(changed, other)]


def _total(observer: Observer) -> Finding:
    return Finding(what="messages in", seen=f"{observer.messages} reached the hub", ok=observer.messages > 0)
