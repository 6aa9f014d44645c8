"""Where messages go: routes, the fallback route, one copy per endpoint, enrichments. No hub, no I/O."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.identity import Identity
from local_hub.eventhub import HubMessage
from local_hub.routing import parse_settings
from local_hub.routing.router import Router

FILES = {"files": [{"name": "log", "path": "p"}, {"name": "other", "path": "q"}]}
TWIN = {"tags": {"site": "north", "floor": 3, "deep": {"a": [1]}}, "properties": {"desired": {"on": True}}}


def route(condition: str = "true", *endpoints: str, name: str = "r", **fields: Any) -> dict[str, Any]:
    return {"name": name, "source": "DeviceMessages", "condition": condition, "endpointNames": endpoints, **fields}


def router(*routes: dict[str, Any], **parts: Any) -> Router:
    listed = [{**each, "endpointNames": list(each["endpointNames"])} for each in routes]
    return Router(parse_settings({"endpoints": FILES, "routes": listed, **parts}), "hub1")


def message(**fields: Any) -> HubMessage:
    system = {"contentType": "application/json", "contentEncoding": "utf-8"}
    usual = {"identity": Identity("d1"), "enqueued": 1.0, "body": b'{"t": 31}', "system": system}
    given: dict[str, Any] = usual | fields
    return HubMessage(**given)


def goes_to(chosen: Router, sent: HubMessage | None = None) -> list[str]:
    return [name for name, _ in chosen.destinations(sent or message(), lambda: TWIN)]


class TestRoutes:
    def test_without_routes_telemetry_goes_to_the_built_in_endpoint(self) -> None:
        assert goes_to(router()) == ["events"]

    def test_a_route_that_matches_keeps_a_message_from_the_built_in_endpoint(self) -> None:
        assert goes_to(router(route("$body.t > 30", "log"))) == ["log"]

    def test_a_message_that_matches_no_route_takes_the_fallback_route(self) -> None:
        assert goes_to(router(route("$body.t > 40", "log"))) == ["events"]

    def test_without_the_fallback_route_it_goes_nowhere(self) -> None:
        assert goes_to(router(route("$body.t > 40", "log"), fallbackRoute={"isEnabled": False})) == []

    def test_the_fallback_route_may_have_a_condition(self) -> None:
        chosen = router(fallbackRoute={"condition": "$body.t > 40"})
        assert goes_to(chosen) == []
        assert goes_to(chosen, message(body=b'{"t": 41}')) == ["events"]

    def test_a_route_may_name_the_built_in_endpoint(self) -> None:
        assert goes_to(router(route("true", "log", name="a"), route("true", "events", name="b"))) == ["log", "events"]

    def test_an_endpoint_gets_one_copy_of_a_message_whatever_matches(self) -> None:
        assert goes_to(router(route("true", "log", name="a"), route("$body.t = 31", "log", name="b"))) == ["log"]

    def test_a_disabled_route_counts_for_nothing(self) -> None:
        assert goes_to(router(route("true", "log", isEnabled=False))) == ["events"]

    def test_a_route_may_read_the_twin(self) -> None:
        chosen = router(route("$twin.tags.site = 'north'", "log"))
        assert goes_to(chosen) == ["log"]
        assert [name for name, _ in chosen.destinations(message(), lambda: None)] == ["events"]


class TestSources:
    @pytest.mark.parametrize("source", ["twinChangeEvents", "deviceLifecycleEvents", "deviceConnectionStateEvents"])
    def test_other_sources_are_wanted_only_where_a_route_asks(self, source: str) -> None:
        assert not router().wants(source)
        assert goes_to(router(), message(source=source)) == []
        asking = router(route("true", "log", source=source))
        assert asking.wants(source)
        assert goes_to(asking, message(source=source)) == ["log"]

    def test_they_do_not_take_the_fallback_route(self) -> None:
        chosen = router(route("false", "log", source="TwinChangeEvents"))
        assert goes_to(chosen, message(source="twinChangeEvents")) == []

    def test_a_route_for_messages_takes_no_events(self) -> None:
        assert goes_to(router(route("true", "log")), message(source="twinChangeEvents")) == []

    def test_what_no_route_can_name_is_not_wanted(self) -> None:
        assert not router(route("true", "log")).wants("job")
        assert not router(fallbackRoute={"isEnabled": False}).wants("Telemetry")


class TestEnrichments:
    def stamped(self, value: str, twin: Any = TWIN) -> str | None:
        chosen = router(enrichments=[{"key": "k", "value": value, "endpointNames": ["events"]}])
        ((_, enriched),) = chosen.destinations(message(), lambda: twin)
        return enriched.properties["k"]

    @pytest.mark.parametrize(
        ("value", "stamp"),
        [
            ("fixed", "fixed"),
            ("$iothubname", "hub1"),
            ("$twin.tags.site", "north"),
            ("$twin.tags.floor", "3"),
            ("$twin.tags.deep", '{"a":[1]}'),
            ("$twin.properties.desired.on", "true"),
            ("$twin.tags.gone", "$twin.tags.gone"),
            ("$twin.tags..", "$twin.tags.."),
            ("$other", "$other"),
        ],
    )
    def test_a_value_is_stamped_and_the_text_itself_where_the_twin_has_none(self, value: str, stamp: str) -> None:
        assert self.stamped(value) == stamp

    def test_a_sender_without_a_twin_gets_the_text(self) -> None:
        assert self.stamped("$twin.tags.site", twin=None) == "$twin.tags.site"

    def test_each_endpoint_has_its_own(self) -> None:
        enrichments = [
            {"key": "a", "value": "1", "endpointNames": ["log"]},
            {"key": "b", "value": "2", "endpointNames": ["log", "other"]},
        ]
        chosen = router(route("true", "log", "other", "events"), enrichments=enrichments)
        sent = message(properties={"own": "x"})
        got = {name: each.properties for name, each in chosen.destinations(sent, lambda: TWIN)}
        assert got == {
            "log": {"own": "x", "a": "1", "b": "2"},
            "other": {"own": "x", "b": "2"},
            "events": {"own": "x"},
        }
        assert sent.properties == {"own": "x"}

    def test_a_message_that_becomes_too_large_is_dropped_for_that_endpoint(self) -> None:
        chosen = router(
            route("true", "log", "other"), enrichments=[{"key": "k", "value": "x" * 300, "endpointNames": ["log"]}]
        )
        assert goes_to(chosen, message(body=b"x" * 262_000, system={})) == ["other"]


@given(
    conditions=st.lists(st.sampled_from(["true", "false", "$body.t > 30", "$body.gone = 1"]), max_size=4),
    targets=st.lists(st.sampled_from(["log", "other", "events"]), min_size=4, max_size=4),
    fallback=st.booleans(),
)
def test_telemetry_goes_to_what_matches_or_else_takes_the_fallback_route(
    conditions: list[str], targets: list[str], fallback: bool
) -> None:
    routes = [
        route(text, target, name=f"r{n}") for n, (text, target) in enumerate(zip(conditions, targets, strict=False))
    ]
    got = goes_to(router(*routes, fallbackRoute={"isEnabled": fallback}))
    pairs = zip(conditions, targets, strict=False)
    matched = {target for text, target in pairs if text in ("true", "$body.t > 30")}
    assert len(got) == len(set(got))
    assert set(got) == (matched or ({"events"} if fallback else set()))
