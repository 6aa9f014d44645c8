from __future__ import annotations

import pytest

from local_hub.fronts.rest.routes import ROUTES, allowed_methods, match, segments_of


def path_of(verb: str, raw_path: str) -> str | None:
    found = match(verb, segments_of(raw_path))
    return found.route.path if found else None


def test_no_route_is_there_twice() -> None:
    keys = [(route.verb, route.path.lower()) for route in ROUTES]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("verb", "raw_path", "expected"),
    [
        ("POST", "/devices/query", "/devices/query"),
        ("GET", "/devices/query", "/devices/{device}"),
        ("GET", "/jobs/v2/query", "/jobs/v2/query"),
        ("GET", "/jobs/v2/nightly", "/jobs/v2/{job}"),
        ("GET", "/jobs/v2", "/jobs/{job}"),
        ("POST", "/devices/keys/regenerate", "/devices/keys/regenerate"),
        ("GET", "/$servicebus/websocket/", "/$servicebus/websocket"),
        ("GET", "/nothing", None),
        ("GET", "/devices//modules", None),
    ],
)
def test_the_path_with_more_literal_segments_wins(verb: str, raw_path: str, expected: str | None) -> None:
    assert path_of(verb, raw_path) == expected


@pytest.mark.parametrize("path", ["/Messages/servicebound/Feedback", "/messages/serviceBound/feedback"])
def test_literal_segments_match_in_any_case(path: str) -> None:
    assert path_of("GET", path) == "/messages/serviceBound/feedback"


def test_ids_keep_their_case_and_are_decoded_once() -> None:
    found = match("GET", segments_of("/devices/A%2525b%23/modules/%24edgeAgent?top=1"))
    assert found is not None
    assert found.params == {"device": "A%25b#", "module": "$edgeAgent"}


def test_a_known_path_names_its_verbs() -> None:
    assert allowed_methods(segments_of("/twins/d")) == ("GET", "PATCH", "PUT")
