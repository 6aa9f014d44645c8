from __future__ import annotations

from pathlib import Path

from local_hub.conformance import LEDGER, State, render_markdown
from local_hub.fronts.rest.routes import ROUTES

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_markdown()


def test_every_route_is_in_the_ledger_and_refused_exactly_when_nobody_answers_it() -> None:
    states = {entry.operation: entry.state for entry in LEDGER}
    for route in ROUTES:
        operation = f"{route.verb} {route.path}"
        assert (states[operation] is State.REFUSED) == (route.handler is None), operation


def test_no_operation_is_listed_twice() -> None:
    operations = [(entry.area, entry.operation) for entry in LEDGER]
    assert len(operations) == len(set(operations))


def test_what_is_approximate_says_how() -> None:
    assert all(entry.note for entry in LEDGER if entry.state is State.APPROXIMATE)
