"""Routing settings: what can be written, and the one line that says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from local_hub.routing import RoutingSettings, RoutingSettingsError, parse_settings

ALL = {
    "endpoints": {
        "webhooks": [{"name": "hook", "url": "http://127.0.0.1:9/in"}],
        "files": [{"name": "log", "path": "routed.ndjson"}],
    },
    "routes": [
        {
            "name": "hot",
            "source": "DeviceMessages",
            "condition": "$body.t > 30",
            "endpointNames": ["hook", "events"],
            "isEnabled": True,
        }
    ],
    "fallbackRoute": {
        "name": "$fallback",
        "source": "DeviceMessages",
        "condition": "true",
        "endpointNames": ["events"],
        "isEnabled": False,
    },
    "enrichments": [{"key": "site", "value": "$twin.tags.site", "endpointNames": ["log"]}],
}


def route(**fields: Any) -> dict[str, Any]:
    return {"routes": [{"name": "r", "source": "DeviceMessages", "endpointNames": ["events"]} | fields]}


def test_settings_are_printed_as_they_are_read() -> None:
    assert parse_settings(ALL).document == ALL
    assert parse_settings({"version": 1, **ALL}) == parse_settings(ALL)


def test_nothing_said_is_the_fallback_route_alone() -> None:
    settings = parse_settings({})
    assert settings == RoutingSettings()
    assert settings.fallback.enabled
    assert settings.routes == ()


def test_sources_and_endpoints_are_found_in_any_case() -> None:
    (parsed,) = parse_settings(route(source="twinchangeevents", endpointNames=["Events"])).routes
    assert (parsed.source, parsed.endpoints, parsed.condition.text) == ("TwinChangeEvents", ("events",), "true")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "routing must be a JSON object"),
        ({"version": 2}, "newer than this program"),
        ({"rules": []}, "'rules' is no part of routing"),
        ({"routes": {}}, "routes must be a list"),
        (route(name="a b"), "cannot name a route"),
        (route(name=None), "needs a name"),
        (route(source="DeviceJobLifecycleEvents"), "the source DeviceJobLifecycleEvents is not built"),
        (route(source="Telemetry"), "there is no source 'Telemetry'"),
        (route(condition="a ="), "route r: expected a value"),
        (route(condition=1), "condition must be a text"),
        (route(endpointNames=["hook"]), "there is no endpoint 'hook', only events"),
        (route(endpointNames=[]), "one or more names"),
        (route(isEnabled="yes"), "true or false"),
        ({"routes": route()["routes"] * 2}, "more than one route r"),
        ({"routes": [route(name=f"r{number}")["routes"][0] for number in range(101)]}, "at most 100 routes"),
        ({"endpoints": {"serviceBusQueues": [{}]}}, "endpoints.serviceBusQueues is not built"),
        ({"endpoints": {"webhooks": [{"name": "Events", "url": "http://h"}]}}, "is the hub's own"),
        ({"endpoints": {"webhooks": [{"name": "w", "url": "ftp://h"}]}}, "http://"),
        ({"endpoints": {"webhooks": [{"name": "w", "url": "http://h:x"}]}}, "http://"),
        ({"endpoints": {"files": [{"name": f"f{number}", "path": "p"} for number in range(11)]}}, "at most 10"),
        (
            {"endpoints": {"webhooks": [{"name": "x", "url": "http://h"}], "files": [{"name": "X", "path": "p"}]}},
            "more than one endpoint X",
        ),
        ({"fallbackRoute": {"endpointNames": ["log"]}}, "nowhere else"),
        ({"enrichments": [{"key": "a b", "value": "x", "endpointNames": ["events"]}]}, "cannot be an enrichment's key"),
        ({"enrichments": [{"key": "k", "value": "x", "endpointNames": ["events"]}] * 11}, "at most 10 enrichments"),
    ],
)
def test_what_is_wrong_is_named(document: Any, reason: str) -> None:
    with pytest.raises(RoutingSettingsError) as refusal:
        parse_settings(document)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)
