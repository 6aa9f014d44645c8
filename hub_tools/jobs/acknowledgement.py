"""Whether devices took over what a job has written, as far as that can be seen.

Three conventions: the acknowledged property `{"value", "ac", "av", "ad"}` of the IoT Plug and Play conventions,
"Writable properties" (`ac` is the outcome, 200 applied, 4xx refused; `av` the desired version meant); a plain reported
property with the value that was desired; or a condition that the operator gives, such as
`properties.reported.firmware = '2.0'`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any

from hub_tools.concurrency import map_bounded
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import DeviceState, Outcome
from hub_tools.jobs.population import PAGE, id_conditions
from hub_tools.jobs.timing import Pace, Timing, pauses
from hub_tools.service import HubService, HubUnreachableError, Json
from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.limits import QUERY_CHARACTERS

__all__ = ["follow", "verdict"]

FIRST_POLL_S = 0.25
READ_BACK_MOST, READ_BACK_AT_ONCE = 200, 10
"""Twins of silent devices that are read one by one in the end, since the index of queries lags behind; and how many at
a time.
"""
DONE, IN_PROGRESS, REFUSED_FROM = 200, 202, 400
THROTTLED = 429
SILENT = "no acknowledgement in time"
ROOM_BESIDE_IDS = 400


async def follow(
    service: HubService,
    spec: JobSpec,
    versions: Mapping[str, int],
    *,
    timeout_s: float,
    plain: bool = False,
    timing: Timing | None = None,
    pace: Pace | None = None,
) -> AsyncGenerator[list[Outcome], None]:
    """Acknowledged and refused devices as they are seen, the silent ones as timed out in the end.

    `versions` has, for each device, the version of its desired section before the write: an answer to that version or
    an earlier one, and a twin that the lagging index shows as it was then, do not count. `plain` takes a reported
    value that is the desired one for an acknowledgement. `confirm` of the job stands in place of both.
    """
    timing = timing or Timing()
    pace = pace or Pace(None, timing)
    pending = dict(versions)
    deadline = timing.clock.monotonic() + timeout_s
    waits = pauses(FIRST_POLL_S)
    while pending:
        outcomes = await _look(service, spec, pending, plain, pace)
        left = deadline - timing.clock.monotonic()
        for outcome in outcomes:
            del pending[outcome.device_id]
        if left <= 0:
            outcomes += await _read_back(service, spec, pending, plain)
        if outcomes:
            yield outcomes
        if left <= 0:
            yield [Outcome(device_id=name, state=DeviceState.TIMED_OUT, cause=SILENT) for name in pending]
            return
        if pending:
            await timing.sleep(min(next(waits), left))


def verdict(spec: JobSpec, desired: Json, reported: Json, version: int, *, plain: bool = False) -> str | None:
    """What a twin says of all settings of a job: "" acknowledged, why they were refused, None for nothing yet."""
    if int(desired.get("$version") or 0) <= version:
        return None
    metadata = desired.get("$metadata") or {}
    answers = {}
    for name in sorted(spec.desired):
        written = (metadata.get(name) or {}).get("$lastUpdatedVersion") or version + 1
        if spec.desired[name] is not None and written <= version:
            return None
        answers[name] = _answer(reported.get(name), spec.desired[name], written, plain)
    if any(answer is None for answer in answers.values()):
        return None
    return "; ".join(f"{name}: {answer}" for name, answer in answers.items() if answer)


def _answer(answer: Any, wanted: Any, written: int, plain: bool) -> str | None:
    if not isinstance(answer, dict) or "ac" not in answer:
        return "" if plain and answer == wanted else None
    if not isinstance(answer.get("av"), int) or answer["av"] < written:
        return None
    code = answer["ac"]
    if not isinstance(code, int) or code == IN_PROGRESS:
        return None
    return "" if code < REFUSED_FROM else str(answer.get("ad") or f"answered {code}")


def _outcome(device_id: str, said: str) -> Outcome:
    state = DeviceState.REFUSED if said else DeviceState.ACKNOWLEDGED
    return Outcome(device_id=device_id, state=state, cause=said)


async def _look(
    service: HubService, spec: JobSpec, pending: Mapping[str, int], plain: bool, pace: Pace
) -> list[Outcome]:
    """What is to be seen now; a hub that throttles or is away for a moment has nothing to tell until the next look."""
    found: list[Outcome] = []
    try:
        async for outcome in _seen(service, spec, pending, plain, pace):
            found.append(outcome)
    except HubUnreachableError:
        pass
    except HubError as error:
        if error.status != THROTTLED:
            raise
    return found


async def _seen(
    service: HubService, spec: JobSpec, pending: Mapping[str, int], plain: bool, pace: Pace
) -> AsyncIterator[Outcome]:
    if spec.confirm is not None:
        async for device_id in _confirmed(service, spec.confirm, pending, pace):
            yield Outcome(device_id=device_id, state=DeviceState.ACKNOWLEDGED)
        return
    select = _Answers(spec)
    for condition, _ in id_conditions(list(pending)):
        await pace.turn()
        text = f"SELECT {select.columns} FROM devices WHERE {condition}"
        async for row in service.query(text, page_size=PAGE):
            device_id = str(row["deviceId"])
            desired, reported = select.read(row)
            said = verdict(spec, desired, reported, pending[device_id], plain=plain)
            if said is not None:
                yield _outcome(device_id, said)


class _Answers:
    """The columns that hold the answers to a job."""

    def __init__(self, spec: JobSpec) -> None:
        self._names = list(spec.desired)

    @property
    def columns(self) -> str:
        columns = ["deviceId", "properties.desired.$version AS v"]
        for number, name in enumerate(self._names):
            columns.append(f"properties.desired.$metadata.[[{name}]] AS m{number}")
            columns.append(f"properties.reported.[[{name}]] AS r{number}")
        return ", ".join(columns)

    def read(self, row: Json) -> tuple[Json, Json]:
        """The desired and the reported section, as far as they were asked for."""
        numbered = list(enumerate(self._names))
        metadata = {name: row[f"m{number}"] for number, name in numbered if f"m{number}" in row}
        reported = {name: row[f"r{number}"] for number, name in numbered if f"r{number}" in row}
        return {"$version": row.get("v"), "$metadata": metadata}, reported


async def _confirmed(service: HubService, confirm: str, devices: Iterable[str], pace: Pace) -> AsyncIterator[str]:
    budget = max(QUERY_CHARACTERS - len(confirm) - ROOM_BESIDE_IDS, ROOM_BESIDE_IDS)
    for condition, _ in id_conditions(list(devices), budget=budget):
        await pace.turn()
        text = f"SELECT deviceId FROM devices WHERE {condition} AND ({confirm})"
        async for row in service.query(text, page_size=PAGE):
            yield str(row["deviceId"])


async def _read_back(service: HubService, spec: JobSpec, pending: dict[str, int], plain: bool) -> list[Outcome]:
    """Ask the twins themselves for the last word of devices that are silent so far, where they are not too many."""
    if len(pending) > READ_BACK_MOST or spec.confirm is not None:
        return []

    async def read(device_id: str) -> Outcome | None:
        try:
            properties = (await service.get_twin(Identity(device_id)))["properties"]
        except (HubError, HubUnreachableError):
            return None
        desired, reported = properties.get("desired", {}), properties.get("reported", {})
        said = verdict(spec, desired, reported, pending[device_id], plain=plain)
        return None if said is None else _outcome(device_id, said)

    said = await map_bounded(read, list(pending), at_once=READ_BACK_AT_ONCE)
    found = [outcome for outcome in said if outcome is not None]
    for outcome in found:
        del pending[outcome.device_id]
    return found
