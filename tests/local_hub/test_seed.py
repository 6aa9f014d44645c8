from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iot_core.identity import Identity
from local_hub.controls.seed import SeedError, read_seed, sow
from local_hub.hub import Hub

KEY = "c2VlZGVkIGtleSBvZiAzMiBieXRlcyBpbiBiYXNlNjQ="
SEED: dict[str, Any] = {
    "devices": [
        {
            "deviceId": "thermostat",
            "primaryKey": KEY,
            "tags": {"site": "north"},
            "desired": {"interval": 5},
            "modules": [{"moduleId": "reader", "desired": {"unit": "C"}}],
        },
        {"deviceId": "gateway", "edge": True, "status": "disabled"},
    ],
    "configurations": [
        {
            "id": "fast",
            "targetCondition": "tags.site = 'north'",
            "priority": 3,
            "content": {"deviceContent": {"properties.desired.rate": {"hz": 50}}},
        }
    ],
}


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    return written(tmp_path, SEED)


def written(folder: Path, seed: Any) -> Path:
    path = folder / "seed.json"
    path.write_text(seed if isinstance(seed, str) else json.dumps(seed))
    return path


async def test_a_new_hub_holds_what_the_seed_says(hub: Hub, seed_file: Path) -> None:
    await sow(hub, seed_file)
    twin = hub.twins.get(Identity("thermostat"))
    assert twin["tags"] == {"site": "north"}
    assert twin["properties"]["desired"]["interval"] == 5
    assert hub.registry.get_device("thermostat")["authentication"]["symmetricKey"]["primaryKey"] == KEY
    assert hub.twins.get(Identity("thermostat", "reader"))["properties"]["desired"]["unit"] == "C"
    gateway = hub.registry.get_device("gateway")
    assert (gateway["status"], gateway["capabilities"]["iotEdge"]) == ("disabled", True)
    assert (await hub.configurations.get("fast"))["priority"] == 3


async def test_sowing_again_changes_nothing(hub: Hub, seed_file: Path) -> None:
    async def all_there_is() -> list[Any]:
        await hub.configurations.settled()
        devices = hub.registry.list_devices(10)
        identities = [Identity("thermostat"), Identity("thermostat", "reader"), Identity("gateway")]
        return [*devices, *(hub.twins.get(identity) for identity in identities), *await hub.configurations.list()]

    await sow(hub, seed_file)
    before = await all_there_is()
    await sow(hub, seed_file)
    assert await all_there_is() == before


async def test_what_the_seed_does_not_mention_stays(hub: Hub, tmp_path: Path) -> None:
    await hub.registry.put_device("d", {"deviceId": "d", "status": "disabled"}, None)
    await hub.twins.patch(Identity("d"), {"tags": {"a": 1, "b": 2}}, None)
    keys = hub.registry.get_device("d")["authentication"]
    await sow(hub, written(tmp_path, {"devices": [{"deviceId": "d", "tags": {"b": None, "c": 3}}]}))
    assert hub.twins.get(Identity("d"))["tags"] == {"a": 1, "c": 3}
    assert hub.registry.get_device("d")["status"] == "disabled"
    assert hub.registry.get_device("d")["authentication"] == keys


async def test_all_of_a_configuration_but_its_content_follows_the_seed(hub: Hub, tmp_path: Path) -> None:
    configuration = SEED["configurations"][0]
    assert isinstance(configuration, dict)
    await sow(hub, written(tmp_path, {"configurations": [configuration]}))
    await sow(hub, written(tmp_path, {"configurations": [{**configuration, "priority": 9}]}))
    assert (await hub.configurations.get("fast"))["priority"] == 9
    other = {**configuration, "content": {"deviceContent": {"properties.desired.rate": {"hz": 1}}}}
    with pytest.raises(SeedError, match=r"configurations\[0\]: the content of configuration 'fast' differs"):
        await sow(hub, written(tmp_path, {"configurations": [other]}))


@pytest.mark.parametrize(
    ("seed", "place"),
    [
        ("{", "Invalid JSON"),
        ([], "Input should be an object"),
        ({"device": []}, "device: Extra inputs"),
        ({"devices": [{"deviceId": "a"}, {}]}, r"devices\[1\]\.deviceId: Field required"),
        ({"devices": [{"deviceId": 7}]}, r"devices\[0\]\.deviceId: Input should be a valid string"),
        ({"devices": [{"deviceId": "a", "tags": []}]}, r"devices\[0\]\.tags: Input should be an object"),
        ({"devices": [{"deviceId": "a", "modules": [{"moduleId": "m", "edge": True}]}]}, r"modules\[0\]\.edge: Extra"),
        ({"devices": [{"deviceId": "a", "status": "off"}]}, r"devices\[0\]\.status: "),
    ],
)
def test_a_bad_seed_is_refused_with_its_place(tmp_path: Path, seed: Any, place: str) -> None:
    with pytest.raises(SeedError, match=rf"^seed .*seed\.json: .*{place}"):
        read_seed(written(tmp_path, seed))


@pytest.mark.parametrize(
    ("seed", "place"),
    [
        ({"devices": [{"deviceId": "a"}, {"deviceId": "no blanks"}]}, r"devices\[1\]: "),
        ({"devices": [{"deviceId": "a", "desired": {"x": 2**60}}]}, r"devices\[0\]: "),
        ({"devices": [{"deviceId": "a", "modules": [{"moduleId": "/"}]}]}, r"devices\[0\]: "),
        ({"configurations": [{"priority": 1}]}, r"configurations\[0\]: id is needed"),
        ({"configurations": [{"id": "c", "targetCondition": "nonsense"}]}, r"configurations\[0\]: "),
    ],
)
async def test_what_the_hub_refuses_is_told_with_its_place(hub: Hub, tmp_path: Path, seed: Any, place: str) -> None:
    with pytest.raises(SeedError, match=place):
        await sow(hub, written(tmp_path, seed))


def test_a_seed_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match=r"absent\.json cannot be read: No such file"):
        read_seed(tmp_path / "absent.json")


def test_keys_are_not_in_what_is_printed_of_a_seed(seed_file: Path) -> None:
    assert KEY not in repr(read_seed(seed_file))


async def test_a_seed_may_be_yaml(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "seed.yaml"
    file.write_text("devices:\n  - deviceId: d1\n    tags: {building: B1}\n    desired: {rate: 5}\n")
    await sow(hub, file)
    twin = hub.twins.get(Identity("d1"))
    assert twin["tags"] == {"building": "B1"}
    assert twin["properties"]["desired"]["rate"] == 5


@pytest.mark.parametrize("text", ["devices: [", "devices: [{deviceId: d1, tags: {since: 2026-01-01}}]"])
def test_yaml_that_json_could_not_say_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "seed.yml"
    file.write_text(text)
    with pytest.raises(SeedError, match=r"seed\.yml is not YAML that JSON could say too"):
        read_seed(file)
