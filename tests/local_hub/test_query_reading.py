"""What queries read of twins is no more than they need, and what they answer is as if they read everything."""

from __future__ import annotations

from typing import Any

import pytest

from iot_core.identity import Identity
from iot_core.query import parse
from local_hub.hub import Hub

QUERIES = (
    "SELECT * FROM devices",
    "SELECT * FROM devices WHERE tags.floor > 2",
    "SELECT * FROM devices WHERE tags.floor > 2 AND connectionState = 'Disconnected'",
    "SELECT * FROM devices WHERE properties.desired.interval = 5",
    "SELECT * FROM devices WHERE properties.desired.$version > 1",
    "SELECT * FROM devices WHERE capabilities.iotEdge = false AND status = 'enabled'",
    "SELECT deviceId, tags.floor AS f FROM devices WHERE tags.building IN ['B1', 'B3']",
    "SELECT tags, properties.desired FROM devices WHERE tags.floor NIN [1, 2]",
    "SELECT properties.desired.interval, properties.desired.$metadata.interval FROM devices",
    "SELECT properties FROM devices WHERE tags.building = 'B1'",
    "SELECT properties.reported.$version, status, modelId FROM devices",
    "SELECT etag, version FROM devices WHERE tags.floor = 1",
    "SELECT tags.building, COUNT() AS n, AVG(properties.desired.interval) AS a FROM devices GROUP BY tags.building",
    "SELECT COUNT() AS n FROM devices WHERE tags.building = 'B1'",
    "SELECT TOP 1 COUNT() AS n FROM devices",
    "SELECT COUNT() AS n, MAX(tags.floor) AS most FROM devices WHERE IS_DEFINED(tags.floor)",
    "SELECT TOP 3 deviceId FROM devices WHERE tags.floor >= 1",
    "SELECT moduleId, tags.role FROM devices.modules WHERE tags.role = 'meter'",
    "SELECT COUNT() AS n FROM devices.modules WHERE tags.role = 'meter'",
)


@pytest.fixture
async def twins(hub: Hub) -> list[Any]:
    """All twins, devices and modules, in the order of their keys."""
    identities = [Identity(f"d{number}") for number in range(8)]
    for number, identity in enumerate(identities):
        await hub.registry.put_device(identity.device_id, {}, None)
        tags = {"building": f"B{number % 4}", "floor": number} if number else {}
        body = {"tags": tags, "properties": {"desired": {"interval": number * 5}} if number % 2 else {}}
        await hub.twins.patch(identity, body, None)
    module = Identity("d0", "m")
    await hub.registry.put_module(module, {}, None)
    await hub.twins.patch(module, {"tags": {"role": "meter"}}, None)
    return [hub.twins.get(identity) for identity in (*identities, module)]


@pytest.mark.parametrize("text", QUERIES)
async def test_rows_are_those_of_the_query_over_whole_twins(hub: Hub, twins: list[Any], text: str) -> None:
    modules = parse(text).collection == "devices.modules"
    expected = list(parse(text).run([twin for twin in twins if ("moduleId" in twin) is modules]))
    page = await hub.twins.query(text, 100, None)
    assert page.rows == expected
