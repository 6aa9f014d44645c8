"""The conformance ledger: how close each operation of this hub is to IoT Hub, as data and as docs/conformance.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from local_hub.conformance_table import LEDGER, Entry, State

__all__ = ["LEDGER", "Entry", "State", "render_markdown"]

_INTRODUCTION = """\
# Conformance of the local hub

What this hub does like Azure IoT Hub, and what it does not. This page is generated from
`local_hub/conformance_table.py` by `python -m local_hub.conformance > docs/conformance.md`; a test fails when it is
stale.

| state | means |
|---|---|
"""

_MEANINGS = {
    State.EXACT: "checked here through the unmodified SDK, which accepts it as the service's own answer",
    State.DOCUMENTED: "follows the service's documentation; nobody has compared it with a live hub yet",
    State.APPROXIMATE: "works, and differs in the way the note says",
    State.REFUSED: "not built: the answer is an error that names it (over HTTPS, 501 NotImplemented)",
}

_CLAIM = """
Nothing here has been compared with a live Azure IoT Hub by this project. Edgeyard is not a Microsoft product.
Whoever has a hub there can look: `edgeyard hub compare --hub CONNECTION_STRING` asks both hubs the same over HTTPS and
prints every difference.
"""


def render_markdown(entries: Iterable[Entry] = LEDGER) -> str:
    """The whole page: meanings of the states, then one table per area in the order of the ledger."""
    meanings = "".join(f"| {state.value} | {meaning} |\n" for state, meaning in _MEANINGS.items())
    areas = itertools.groupby(entries, key=lambda entry: entry.area)
    return _INTRODUCTION + meanings + _CLAIM + "".join(_area(area, rows) for area, rows in areas)


def _area(area: str, entries: Iterable[Entry]) -> str:
    rows = "".join(f"| `{entry.operation}` | {entry.state.value} | {entry.note} |\n" for entry in entries)
    return f"\n## {area}\n\n| operation | state | note |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    print(render_markdown(), end="")
