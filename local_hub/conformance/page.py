"""The ledger as a page."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable

from local_hub.conformance.entries import Entry, State
from local_hub.conformance.ledger import LEDGER

__all__ = ["render_markdown"]

_INTRODUCTION = """\
# Conformance of the local hub

What this hub does like Azure IoT Hub, and what it does not. This page is generated from the rows in
`local_hub/conformance/` by `python -m local_hub.conformance > docs/conformance.md`; a test fails when it is stale, when
a row names a test or code that is not there, and when code has an operation that no row tells of.

| state | rows | means |
|---|---|---|
"""

_MEANINGS = {
    State.EXACT: "checked here through the unmodified SDK, which accepts it as the service's own answer",
    State.DOCUMENTED: "follows the service's documentation; nobody has compared it with a live hub yet",
    State.APPROXIMATE: "works, and differs in the way the note says",
    State.REFUSED: "not built: the answer is an error that names it",
}

_CLAIM = """
Each row names the test that shows it; `pytest NODE` runs it. "Seen on Azure" is the day when a comparison with a live
hub last found no difference. So far that is never, for every row: nothing here has been compared with a live Azure IoT
Hub by this project. Edgeyard is not a Microsoft product. Whoever has a hub there can look: `edgeyard hub compare --hub
CONNECTION_STRING` puts both hubs through the same and prints every difference.
"""


def render_markdown(entries: Iterable[Entry] = LEDGER) -> str:
    """The whole page: meanings of the states, then one table per area in the order of the ledger."""
    rows = tuple(entries)
    counts = Counter(entry.state for entry in rows)
    meanings = "".join(f"| {state.value} | {counts[state]} | {meaning} |\n" for state, meaning in _MEANINGS.items())
    areas = itertools.groupby(rows, key=lambda entry: entry.area)
    return _INTRODUCTION + meanings + _CLAIM + "".join(_area(area, found) for area, found in areas)


def _area(area: str, entries: Iterable[Entry]) -> str:
    header = "| operation | state | test | seen on Azure | note |\n|---|---|---|---|---|\n"
    return f"\n## {area}\n\n{header}" + "".join(map(_row, entries))


def _row(entry: Entry) -> str:
    cells = (f"`{entry.operation}`", entry.state.value, f"`{entry.test}`", entry.seen, entry.note)
    return f"| {' | '.join(cells)} |\n"
