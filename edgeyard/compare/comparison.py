"""Two hubs asked the same at the same time, and where their answers differ."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeyard.compare.cases import SCENARIOS
from edgeyard.compare.observation import ERROR_HEADER, STATUS, Facts
from edgeyard.compare.probe import AskedHub, Observed, Probe
from edgeyard.compare.steps import Scenario

__all__ = ["ABSENT", "PREFIX", "Comparison", "Difference", "compare_hubs", "differences"]

PREFIX = "edgeyard-compare-"
ABSENT = "absent"


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
    local: AskedHub, other: AskedHub, *, scenarios: Sequence[Scenario] = SCENARIOS, prefix: str | None = None
) -> Comparison:
    """Ask both hubs everything; what was made in them is gone when this returns or raises, or is cancelled.

    Raises HubUnreachableError, and LeftBehindError naming what could not be removed.
    """
    own = prefix or f"{PREFIX}{secrets.token_hex(4)}"
    probes = [asyncio.ensure_future(Probe(hub, own).run(scenarios)) for hub in (local, other)]
    try:
        ours, theirs = await asyncio.gather(*probes)
    finally:
        # When one has failed, the other stops where it is and cleans up; nothing is done until it has.
        for probe in probes:
            probe.cancel()
        await asyncio.wait(probes)
    return Comparison(
        local=local.host_name, other=other.host_name, steps=len(ours), differences=tuple(differences(ours, theirs))
    )


def differences(ours: Observed, theirs: Observed) -> Iterator[Difference]:
    """All of them. Where statuses differ, only they and the error codes are named: the bodies are of two kinds."""
    for (scenario, step), mine in ours.items():
        for where, local, other in _unequal(mine, theirs[scenario, step]):
            yield Difference(scenario=scenario, step=step, where=where, local=local, other=other)


def _unequal(ours: Facts, theirs: Facts) -> Iterator[tuple[str, str, str]]:
    same_outcome = ours[STATUS] == theirs[STATUS]
    for where in _places(ours, theirs) if same_outcome else (STATUS, f"header {ERROR_HEADER}"):
        local, other = ours.get(where, ABSENT), theirs.get(where, ABSENT)
        if local != other:
            yield where, local, other


def _places(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Sequence[str]:
    return list(dict.fromkeys((*ours, *theirs)))
