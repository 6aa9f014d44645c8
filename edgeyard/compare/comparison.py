"""Two hubs asked the same at the same time, and where their answers differ."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeyard.compare import cases, live_cases, service_cases
from edgeyard.compare.doors import Side
from edgeyard.compare.observation import ERROR_HEADER, STATUS, Facts
from edgeyard.compare.probe import AnyScenario, Observed, Probe

__all__ = ["ABSENT", "PREFIX", "SCENARIOS", "Comparison", "Difference", "compare_hubs", "differences"]

SCENARIOS: tuple[AnyScenario, ...] = (*cases.SCENARIOS, *service_cases.SCENARIOS, *live_cases.SCENARIOS)
"""All that both hubs are put through."""

PREFIX = "edgeyard-compare-"
ABSENT = "absent"
_NOT_REACHED: Facts = {STATUS: "not reached"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A place in the answer to one step at which the hubs disagree; ``local`` and ``other`` are facts, or "absent"."""

    scenario: str
    step: str
    where: str
    local: str
    other: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out: how many steps were asked, and every difference in their order."""

    local: str
    other: str
    steps: int
    differences: tuple[Difference, ...]

    def document(self) -> dict[str, Any]:
        """The whole as JSON."""
        return asdict(self) | {"differences": [asdict(difference) for difference in self.differences]}


async def compare_hubs(
    local: Side, other: Side, *, scenarios: Sequence[AnyScenario] = SCENARIOS, prefix: str | None = None
) -> Comparison:
    """Ask both hubs everything; what was made in them is gone when this returns or raises, or is cancelled.

    Raises HubUnreachableError, and LeftBehindError naming what could not be removed.
    """
    own = prefix or f"{PREFIX}{secrets.token_hex(4)}"
    probes = [asyncio.ensure_future(Probe(side, own).run(scenarios)) for side in (local, other)]
    try:
        ours, theirs = await asyncio.gather(*probes)
    finally:
        # When one has failed, the other stops where it is and cleans up; nothing is done until it has.
        for probe in probes:
            probe.cancel()
        await asyncio.wait(probes)
    return Comparison(
        local=local.rest.host_name,
        other=other.rest.host_name,
        steps=len(ours.keys() | theirs.keys()),
        differences=tuple(differences(ours, theirs)),
    )


def differences(ours: Observed, theirs: Observed) -> Iterator[Difference]:
    """All of them. Where statuses differ, only they and the error codes are named: the bodies are of two kinds."""
    for scenario, step in dict.fromkeys((*ours, *theirs)):
        mine, its = (observed.get((scenario, step), _NOT_REACHED) for observed in (ours, theirs))
        for where, local, other in _unequal(mine, its):
            yield Difference(scenario=scenario, step=step, where=where, local=local, other=other)


def _unequal(ours: Facts, theirs: Facts) -> Iterator[tuple[str, str, str]]:
    same_outcome = ours[STATUS] == theirs[STATUS]
    for where in _places(ours, theirs) if same_outcome else (STATUS, f"header {ERROR_HEADER}"):
        local, other = ours.get(where, ABSENT), theirs.get(where, ABSENT)
        if local != other:
            yield where, local, other


def _places(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Sequence[str]:
    return list(dict.fromkeys((*ours, *theirs)))
