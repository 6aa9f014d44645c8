"""Twin changes as messages."""

from __future__ import annotations

import json

import pytest

from local_edge.edgehub.routes import EdgeHubConfig, parse_config
from local_edge.edgehub.twin_changes import twin_change

INTO = 'INTO BrokeredEndpoint("/modules/trigger/inputs/twinChanges")'


def config(*routes: str) -> EdgeHubConfig:
    named = {f"r{number}": route for number, route in enumerate(routes)}
    return parse_config(
        {"schemaVersion": "1.1", "routes": named, "storeAndForwardConfiguration": {"timeToLiveSecs": 9}}
    )


def endpoints(*routes: str) -> list[str]:
    change = twin_change(config(*routes), "edge-1", "pump", {"battery": 7})
    return [delivery.endpoint for delivery in change.deliveries]


def test_the_body_is_the_reported_patch_and_the_receiver_is_told_who_reported() -> None:
    message = twin_change(config(), "edge-1", "pump", {"battery": 7, "old": None}).message
    assert json.loads(message.body) == {"battery": 7, "old": None}
    assert message.system == {
        "connectionDeviceId": "edge-1",
        "connectionModuleId": "pump",
        "messageSchema": "twinChangeNotification",
    }


def test_routes_take_it_by_its_own_source_only() -> None:
    assert endpoints(f"FROM /twinChangeNotifications {INTO}") == ["trigger/twinChanges"]
    assert endpoints(f"FROM /messages/* {INTO}") == []
    assert endpoints("FROM /* INTO $upstream") == ["$upstream/$edgeHub"]


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("$messageType = 'twinChangeNotification'", True),
        ("$messageSchema = 'twinChangeNotification'", True),
        ("$connectionModuleId = '$edgeHub'", True),
        ("$connectionModuleId = 'pump'", False),
        ("$body.battery < 10", False),
    ],
)
def test_conditions_see_the_edge_hub_as_sender_and_no_body(condition: str, taken: bool) -> None:
    assert bool(endpoints(f"FROM /twinChangeNotifications WHERE {condition} {INTO}")) is taken
