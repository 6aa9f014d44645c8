"""The ledger and the code agree, in both directions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from iot_core.amqp_addresses import Address
from iot_core.query.functions import FUNCTIONS as QUERY_FUNCTIONS
from iot_core.routing.functions import EDGE_INSPECTIONS
from iot_core.routing.functions import FUNCTIONS as ROUTING_FUNCTIONS
from iot_core.topics import DeviceTopic, Subscription
from local_hub.blobs.operations import OPERATIONS
from local_hub.conformance import LEDGER, Entry, State, render_markdown
from local_hub.fronts.rest.routes import ROUTES
from local_hub.jobs.rows import WORK_KEYS
from local_hub.registry.bulk import MODES
from local_hub.routing.settings import SOURCES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
BLOBS = "Blob endpoint (HTTPS)"
WEB_ROUTES = {f"{route.verb} {route.path}" for route in ROUTES}
BLOB_OPERATIONS = {operation.name for operation in OPERATIONS.values()}


@cache
def names_in(path: str) -> frozenset[str]:
    """Everything that a Python file defines, as "name" and "Class.name"; empty when there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    return frozenset(_defined(ast.parse(file.read_text(encoding="utf-8")).body, ""))


def _defined(body: Iterable[ast.stmt], prefix: str) -> Iterable[str]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + statement.name
        elif isinstance(statement, ast.ClassDef):
            yield prefix + statement.name
            yield from _defined(statement.body, f"{prefix}{statement.name}.")
        else:
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            names = (name for target in targets if target for name in ast.walk(target))
            yield from (prefix + name.id for name in names if isinstance(name, ast.Name))


def is_there(node: str) -> bool:
    path, _, name = node.partition("::")
    return (ROOT / path).is_file() and (not name or name.replace("::", ".") in names_in(path))


def ids(entry: Entry) -> str:
    return f"{entry.area}: {entry.operation[:60]}"


def code_of(*areas: str) -> set[str]:
    return {node for entry in LEDGER if not areas or entry.area in areas for node in entry.code}


def words_of(*areas: str) -> set[str]:
    return {word for entry in LEDGER if entry.area in areas for word in re.findall(r"\w+", entry.operation)}


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_markdown()


@pytest.mark.parametrize("entry", LEDGER, ids=ids)
def test_each_row_names_a_test_that_is_there(entry: Entry) -> None:
    assert "::test_" in entry.test
    assert is_there(entry.test), entry.test


@pytest.mark.parametrize("entry", LEDGER, ids=ids)
def test_each_row_has_its_code(entry: Entry) -> None:
    assert entry.code or entry.operation in WEB_ROUTES | BLOB_OPERATIONS
    assert [node for node in entry.code if not is_there(node)] == []


def test_a_row_without_test_or_code_is_found() -> None:
    assert not is_there("tests/local_hub/test_conformance.py::test_nobody_wrote")
    assert not is_there("tests/local_hub/test_nothing.py::test_the_page_is_fresh")
    assert is_there("tests/local_hub/test_conformance.py::test_the_page_is_fresh")
    assert is_there("iot_core/topics.py::Subscription.INPUTS")
    assert not is_there("iot_core/topics.py::Subscription.OUTPUTS")


def test_every_route_has_a_row_that_does_not_say_refused() -> None:
    states = {entry.operation: entry.state for entry in LEDGER}
    assert states.keys() >= WEB_ROUTES
    assert [route for route in sorted(WEB_ROUTES) if states[route] is State.REFUSED] == []


def test_every_row_that_looks_like_a_route_is_one() -> None:
    looks = re.compile(r"(GET|PUT|POST|PATCH|DELETE) /")
    assert [entry.operation for entry in LEDGER if looks.match(entry.operation)] != []
    assert {entry.operation for entry in LEDGER if looks.match(entry.operation)} == WEB_ROUTES


def test_every_blob_operation_has_a_row() -> None:
    assert {entry.operation for entry in LEDGER if entry.area == BLOBS} >= BLOB_OPERATIONS


def test_every_topic_and_subscription_of_mqtt_has_a_row() -> None:
    topics = {f"iot_core/topics.py::{kind.__name__}" for kind in get_args(DeviceTopic)}
    subscriptions = {f"iot_core/topics.py::Subscription.{member.name}" for member in Subscription}
    assert topics | subscriptions <= code_of("MQTT (port 8883)")


def test_every_address_of_amqp_has_a_row() -> None:
    assert {f"iot_core/amqp_addresses.py::{kind.__name__}" for kind in get_args(Address)} <= code_of()


def test_every_function_of_queries_and_routes_has_a_row() -> None:
    assert QUERY_FUNCTIONS.keys() <= words_of("Queries (HTTPS)")
    assert {*ROUTING_FUNCTIONS, *EDGE_INSPECTIONS} <= words_of("Events")


def test_every_source_of_events_import_mode_and_kind_of_job_has_a_row() -> None:
    assert SOURCES.keys() <= words_of("Events")
    assert set(MODES.values()) <= words_of("Rules of identities")
    assert WORK_KEYS.keys() <= words_of("Jobs (HTTPS)")


def test_no_operation_is_listed_twice() -> None:
    operations = [(entry.area, entry.operation) for entry in LEDGER]
    assert len(operations) == len(set(operations))


def test_what_is_approximate_or_refused_says_how() -> None:
    assert [
        entry.operation for entry in LEDGER if entry.state in (State.APPROXIMATE, State.REFUSED) and not entry.note
    ] == []


def test_what_is_exact_is_shown_by_a_test_with_an_sdk() -> None:
    """Or with a second implementation of the protocol, or the kill test: never by a test of the core alone."""
    with_others = {path.name for path in (ROOT / "tests").rglob("test_*.py") if _imports_azure(path)}
    shown = {entry.test.partition("::")[0] for entry in LEDGER if entry.state is State.EXACT}
    assert [test for test in sorted(shown) if Path(test).name not in with_others and "/node/" not in test] == []


def _imports_azure(path: Path) -> bool:
    return re.search(r"^\s*(from|import) azure", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def test_nobody_has_seen_it_on_azure_so_far_and_the_page_says_so() -> None:
    assert {entry.seen for entry in LEDGER} == {"never"}
    assert "So far that is never" in render_markdown()
