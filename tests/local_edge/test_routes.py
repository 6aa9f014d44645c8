"""The desired properties of $edgeHub and where messages go by them."""

from __future__ import annotations

from typing import Any

import pytest

from iot_core.message import Message
from local_edge.edgehub.messages import Delivery
from local_edge.edgehub.routes import DEFAULT_CONFIG, EdgeHubConfig, deliveries, parse_config
from local_edge.errors import DeploymentError

INTO_B = 'INTO BrokeredEndpoint("/modules/b/inputs/in")'


def config(*routes: Any, ttl_s: int = -1) -> EdgeHubConfig:
    named = {f"r{number}": route for number, route in enumerate(routes)}
    store = {"timeToLiveSecs": ttl_s}
    return parse_config({"schemaVersion": "1.1", "routes": named, "storeAndForwardConfiguration": store})


def message(output: str | None = None, **properties: str) -> Message:
    return Message(b"{}", dict(properties), {} if output is None else {"outputName": output})


def endpoints(chosen: list[Delivery]) -> list[str]:
    return [delivery.endpoint for delivery in chosen]


def test_a_route_takes_messages_of_its_source_only() -> None:
    routes = config(f"FROM /messages/modules/a/outputs/x {INTO_B}", "FROM /messages/modules/a/* INTO $upstream")
    assert endpoints(deliveries(routes, "a", message("x"))) == ["b/in", "$upstream/a"]
    assert endpoints(deliveries(routes, "a", message("y"))) == ["$upstream/a"]
    assert deliveries(routes, "c", message("x")) == []


def test_conditions_see_properties() -> None:
    routes = config(f"FROM /messages/* WHERE level = 'high' {INTO_B}")
    assert endpoints(deliveries(routes, "a", message(level="high"))) == ["b/in"]
    assert deliveries(routes, "a", message(level="low")) == []


def test_an_endpoint_gets_a_message_once_by_its_most_urgent_route_with_that_routes_time_to_live() -> None:
    routes = config(
        f"FROM /messages/* {INTO_B}",
        {"route": f"FROM /messages/modules/a {INTO_B}", "priority": 3, "timeToLiveSecs": 60},
        {"route": f"FROM /messages/modules/a {INTO_B}", "priority": 5},
        ttl_s=7200,
    )
    assert deliveries(routes, "a", message()) == [Delivery(endpoint="b/in", priority=3, ttl_s=60)]
    assert deliveries(routes, "z", message()) == [Delivery(endpoint="b/in", priority=2_000_000_000, ttl_s=7200)]


def test_a_negative_time_to_live_means_for_ever() -> None:
    assert deliveries(config("FROM /* INTO $upstream"), "a", message())[0].ttl_s is None


def test_without_any_configuration_everything_goes_upstream() -> None:
    assert endpoints(deliveries(DEFAULT_CONFIG, "a", message("x"))) == ["$upstream/a"]


@pytest.mark.parametrize(
    ("desired", "named"),
    [
        ({"schemaVersion": "2.0", "routes": {}}, "schemaVersion"),
        ({"schemaVersion": "1.0"}, "routes"),
        ({"schemaVersion": "1.1", "routes": {}}, "storeAndForwardConfiguration"),
        ({"schemaVersion": "1.0", "routes": {"toHub": "FROM nowhere"}}, "toHub"),
        ({"schemaVersion": "1.0", "routes": {"a b": "FROM /* INTO $upstream"}}, "a b"),
    ],
)
def test_a_bad_configuration_is_refused_with_the_place(desired: dict[str, Any], named: str) -> None:
    with pytest.raises(DeploymentError, match=named) as caught:
        parse_config(desired)
    assert caught.value.code == 400
