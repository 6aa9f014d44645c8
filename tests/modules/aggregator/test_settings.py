from __future__ import annotations

from typing import Any

import pytest

from device.settings import SettingsSession
from modules.aggregator.settings import AggregatorSettings

GOOD: dict[str, Any] = {
    "window": {"type": "tumbling", "size": 60},
    "aggregates": {"mean": {"function": "avg", "of": "$body.temperature"}},
}


def applied(definition: Any, name: str = "perMinute") -> dict[str, Any]:
    """The acknowledgement of `definitions` after a good one was in force."""
    session = SettingsSession(AggregatorSettings)
    session.apply({"definitions": {"good": GOOD}, "$version": 1}, full=True)
    answer: dict[str, Any] = session.apply({"definitions": {name: definition}, "$version": 2}).reported["definitions"]
    if answer["ac"] == 400:
        assert list(session.settings.definitions) == ["good"]
    return answer


def with_window(**window: Any) -> dict[str, Any]:
    return GOOD | {"window": window}


def with_aggregate(**aggregate: Any) -> dict[str, Any]:
    return GOOD | {"aggregates": {"x": aggregate}}


def test_a_good_definition_is_applied() -> None:
    assert applied(GOOD)["ac"] == 200


@pytest.mark.parametrize(
    ("definition", "where"),
    [
        (with_window(type="tumbling", size=0), "perMinute.window.tumbling.size"),
        (with_window(type="tumbling", size=-5), "perMinute.window.tumbling.size"),
        (with_window(type="tumbling", size="60"), "perMinute.window.tumbling.size"),
        (with_window(type="tumbling", size=1e9), "perMinute.window.tumbling.size"),
        (with_window(type="tumbling"), "perMinute.window.tumbling.size"),
        (with_window(type="tumbling", size=60, hop=5), "perMinute.window.tumbling.hop"),
        (with_window(type="hopping", size=10, hop=20), "hop must not be above size"),
        (with_window(type="hopping", size=1000, hop=1), "size / hop"),
        (with_window(type="daily"), "perMinute.window"),
        (with_aggregate(function="median", of="$body.x"), "perMinute.aggregates.x.function"),
        (with_aggregate(function="avg"), "avg needs `of`"),
        (with_aggregate(function="percentile", of="$body.x"), "percentile needs `p`"),
        (with_aggregate(function="percentile", of="$body.x", p=101), "perMinute.aggregates.x.p"),
        (with_aggregate(function="avg", of="$body.x[", p=None), "perMinute.aggregates.x.of"),
        (GOOD | {"aggregates": {}}, "perMinute.aggregates"),
        (GOOD | {"groupBy": {"m": "$body.*"}}, "perMinute.groupBy.m"),
        (GOOD | {"where": "$body.x >"}, "perMinute.where"),
        (GOOD | {"timestamp": {"path": "$body.t", "format": "unix"}}, "perMinute.timestamp.format"),
        (GOOD | {"alowedLateness": 5}, "perMinute.alowedLateness"),
        (GOOD | {"maxGroups": 0}, "perMinute.maxGroups"),
        (GOOD | {"output": "a b"}, "perMinute.output"),
        ("tumbling", "perMinute"),
    ],
)
def test_a_bad_definition_is_refused_by_name_and_place_and_the_last_good_stays(definition: Any, where: str) -> None:
    answer = applied(definition)
    assert answer["ac"] == 400
    assert "perMinute" in answer["ad"]
    assert where in answer["ad"]


def test_what_an_earlier_run_had_in_force_stays_when_the_twin_is_bad_at_start() -> None:
    session = SettingsSession(AggregatorSettings, last_good={"definitions": {"good": GOOD}})
    answer = session.apply({"definitions": {"bad": {}}, "$version": 7}, full=True).reported["definitions"]
    assert (answer["ac"], list(session.settings.definitions)) == (400, ["good"])


def test_what_an_earlier_run_had_in_force_goes_when_the_twin_has_none() -> None:
    session = SettingsSession(AggregatorSettings, last_good={"definitions": {"good": GOOD}})
    session.apply({"$version": 7}, full=True)
    assert session.settings.definitions == {}
