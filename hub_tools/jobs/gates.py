"""What has to hold after a wave before the next one may begin, and when too many devices have failed to go on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.population import PAGE, id_conditions
from hub_tools.jobs.telemetry_gate import Events, TelemetryGate, parse_telemetry_gate
from hub_tools.service import HubService, Json
from iot_core.errors import InputError, QueryError
from iot_core.limits import QUERY_CHARACTERS
from iot_core.query import parse

__all__ = [
    "FAILURES",
    "Abort",
    "Condition",
    "CountQuery",
    "Gate",
    "Rate",
    "judge",
    "meaning",
    "parse_abort",
    "parse_gate",
]

FAILURES = (DeviceState.FAILED, DeviceState.REFUSED, DeviceState.TIMED_OUT)
EXAMPLES = 5
ROOM_BESIDE_IDS = 400
LEAST_SAMPLE = 10
"""Devices that must have come to an end before their share of failures says anything, where nobody gives a number."""
_RATE = re.compile(r"\s*(success|acknowledged)\s*>=\s*(\d+(?:\.\d+)?)\s*%\s*", re.IGNORECASE)
_ABORT = re.compile(r"\s*(?:failures?\s*>\s*)?(\d+(?:\.\d+)?)\s*%\s*(?:of\s+(\d+))?\s*", re.IGNORECASE)

States = Mapping[str, DeviceState]
"""The devices of a wave with their states."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of the wave's devices: `success` have neither failed, refused nor stayed silent; `acknowledged` said yes.

    Devices that held the value already count for neither. A wave of nothing else passes.
    """

    of: Literal["success", "acknowledged"]
    least: float

    def __str__(self) -> str:
        return f"{self.of} >= {self.least:.6g}%"

    async def failure(self, service: HubService, states: States) -> str:
        del service
        counts = Counter(states.values())
        total = len(states) - counts[DeviceState.SKIPPED]
        bad = sum(counts[state] for state in FAILURES)
        good = counts[DeviceState.ACKNOWLEDGED] if self.of == "acknowledged" else total - bad
        if not total or 100 * good >= self.least * total:
            return ""
        return f"{self}: it is {100 * good / total:.4g}%, {good:,} of {total:,} devices"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition that every device of the wave must meet, as the hub's queries show it."""

    text: str

    def __post_init__(self) -> None:
        _parse(f"SELECT * FROM devices WHERE {self.text}", self.text)

    def __str__(self) -> str:
        return self.text

    async def failure(self, service: HubService, states: States) -> str:
        missing = dict.fromkeys(states)
        budget = max(QUERY_CHARACTERS - len(self.text) - ROOM_BESIDE_IDS, ROOM_BESIDE_IDS)
        for condition, _ in id_conditions(list(states), budget=budget):
            text = f"SELECT deviceId FROM devices WHERE {condition} AND ({self.text})"
            async for row in service.query(text, page_size=PAGE):
                missing.pop(str(row["deviceId"]), None)
        if not missing:
            return ""
        return f"{self}: {len(missing):,} of {len(states):,} devices do not meet it, such as {_some(list(missing))}"


@dataclass(frozen=True, kw_only=True)
class CountQuery:
    """A query `SELECT COUNT() AS n FROM devices WHERE …` over the whole hub, whose number must lie between two."""

    text: str
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        _parse(self.text, self.text)

    def __str__(self) -> str:
        most = "" if self.most is None else f" <= {self.most}"
        return f"{f'{self.least} <= ' if self.least else ''}{self.text}{most}"

    async def failure(self, service: HubService, states: States) -> str:
        del states
        rows = [row async for row in service.query(self.text)]
        number = next(iter(rows[0].values()), 0) if rows else 0
        if not isinstance(number, int):
            raise InputError(f"--require {self.text!r} does not count: write SELECT COUNT() AS n FROM devices WHERE …")
        if number >= self.least and (self.most is None or number <= self.most):
            return ""
        return f"{self}: it is {number:,}"


Gate = Rate | Condition | CountQuery | TelemetryGate


@dataclass(frozen=True, kw_only=True)
class Abort:
    """More than `share` (0 to 1) of the devices that came to an end failed, once at least `sample` did."""

    share: float
    sample: int = LEAST_SAMPLE

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or self.sample < 1:
            raise InputError("abort_if: write a share from 0 to below 1 and a sample of 1 or more")

    def __str__(self) -> str:
        return f"more than {100 * self.share:g}% of at least {self.sample} devices failed, refused or stayed silent"

    def reached(self, counts: Mapping[DeviceState, int], *, awaited: bool) -> str:
        """Why the rollout is to end, "" as long as it may go on.

        Devices that held the value already say nothing; nor do those that are written where an answer is awaited.
        """
        failed = sum(counts.get(state, 0) for state in FAILURES)
        good = counts.get(DeviceState.ACKNOWLEDGED, 0) + (0 if awaited else counts.get(DeviceState.WRITTEN, 0))
        ended = failed + good
        if ended < self.sample or failed <= self.share * ended:
            return ""
        return f"{failed:,} of {ended:,} devices failed, more than {100 * self.share:g}%"


async def judge(
    gates: Sequence[Gate], service: HubService, states: States, *, events: Events | None = None, since: float = 0.0
) -> str:
    """What the first gate that does not hold says; "" when all hold.

    `events` is for gates on telemetry, which look at what was sent from `since` on (unix seconds).
    """
    for gate in gates:
        if isinstance(gate, TelemetryGate):
            found = await _heard(gate, states, events, since)
        else:
            found = await gate.failure(service, states)
        if found:
            return found
    return ""


async def _heard(gate: TelemetryGate, states: States, events: Events | None, since: float) -> str:
    if events is None:
        return f"{gate}: there is nothing to listen with: name the hub by a policy's connection string"
    from hub_tools.monitor import MonitorError  # AMQP, which a job without such a gate does not need

    try:
        async with events(since) as source:
            return await gate.failure(source, states.keys())
    except MonitorError as error:
        return f"{gate}: {error}"


def parse_gate(text: str, *, least: int | None = None, most: int | None = None) -> Gate:
    """`success >= 95%`, `acknowledged >= 90%`, `telemetry CONDITION on at most 1%` (or `at least`), a counting query,
    or a condition for every device; InputError.

    A counting query without `least` and `most` counts what must not be: its number must be 0.
    """
    if match := _RATE.fullmatch(text):
        percent = float(match[2])
        if percent > 100:
            raise InputError(f"--require {text!r}: no share is above 100%")
        return Rate(of="success" if match[1].lower() == "success" else "acknowledged", least=percent)
    if telemetry := parse_telemetry_gate(text):
        return telemetry
    if text.lstrip().lower().startswith("select"):
        nothing = least is None and most is None
        return CountQuery(text=text.strip(), least=least or 0, most=0 if nothing else most)
    return Condition(text=text.strip())


def parse_abort(text: str) -> Abort:
    """`5%`, `failures > 5%` or `5% of 20`, where 20 is the least sample; InputError."""
    match = _ABORT.fullmatch(text)
    if match is None:
        raise InputError(f"--abort-if {text!r}: write a share of failures such as 5%, or '5% of 20' for a least sample")
    return Abort(share=float(match[1]) / 100, sample=int(match[2] or LEAST_SAMPLE))


def meaning(gate: Gate) -> str:
    """What a gate wants, in words."""
    match gate:
        case Rate(of="success"):
            return f"at least {gate.least:.6g}% of the wave's devices neither failed, refused nor stayed silent"
        case Rate():
            return f"at least {gate.least:.6g}% of the wave's devices said that they follow"
        case Condition():
            return f"every device of the wave meets {gate.text}"
        case TelemetryGate():
            return f"at {gate.bound} {gate.percent:g}% of the wave's devices sent a message with {gate.condition}"
    most = "" if gate.most is None else f" and at most {gate.most}"
    number = f"{gate.least}" if gate.least == gate.most else f"at least {gate.least}{most}"
    return f"the number is {number} of {gate.text}"


def gate_to_json(gate: Gate) -> Json:
    """A document from which `gate_from_json` makes the gate again."""
    if isinstance(gate, CountQuery):
        return {"text": gate.text, "least": gate.least, "most": gate.most}
    return {"text": str(gate)}


def gate_from_json(document: Json) -> Gate:
    """The gate that `gate_to_json` wrote."""
    return parse_gate(document["text"], least=document.get("least"), most=document.get("most"))


def _parse(query: str, given: str) -> None:
    try:
        parse(query)
    except QueryError as error:
        raise InputError(f"--require {given!r}: {error}") from None


def _some(devices: Sequence[str]) -> str:
    return ", ".join(devices[:EXAMPLES])
