"""Configurations over the wire: azure-iot-hub's IoTHubConfigurationManager, unmodified, and If-Match as the service
reads it.
"""

from __future__ import annotations

import platform
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if not (platform.machine() == "x86_64" and sys.platform == "linux"):
    pytest.skip("azure-iot-hub needs uamqp, which has wheels for x86-64 Linux only", allow_module_level=True)

from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    Configuration,
    ConfigurationContent,
    ConfigurationMetrics,
    ConfigurationQueriesTestInput,
    Twin,
)
from msrest.exceptions import HttpOperationError

from tests.azure_iot_hub import registry_manager

BODY = {"content": {"deviceContent": {"properties.desired.a": 1}}}


@pytest.fixture
def manager(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[IoTHubConfigurationManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    made = IoTHubConfigurationManager.from_connection_string(str(hub.owner))
    yield made
    made.protocol.close()


@pytest.fixture
def registry(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[IoTHubRegistryManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    with registry_manager(hub.owner) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def device_id(registry: IoTHubRegistryManager, name: str) -> str:
    """A device whose tag ``unit`` is the name of the test's configuration."""
    device_id = f"d-{name}"
    registry.create_device_with_sas(device_id, "", "", "enabled")
    registry.update_twin(device_id, Twin(tags={"unit": name}))
    return device_id


def configuration(name: str, content: ConfigurationContent, condition: str, **more: Any) -> Configuration:
    return Configuration(id=name, content=content, target_condition=condition, priority=10, **more)


def eventually(read: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What ``read`` gives once it is wanted; pytest's time limit ends a test where it never is."""
    while not wanted(value := read()):
        time.sleep(0.02)
    return value


def test_the_whole_life_of_a_device_configuration(
    manager: IoTHubConfigurationManager, registry: IoTHubRegistryManager, name: str, device_id: str
) -> None:
    content = ConfigurationContent(device_content={"properties.desired.chillerWater": {"temperature": 66}})
    metrics = ConfigurationMetrics(
        queries={"hot": f"SELECT deviceId FROM devices WHERE tags.unit = '{name}' AND properties.reported.t > 5"}
    )
    asked = configuration(name, content, f"tags.unit = '{name}'", metrics=metrics, labels={"owner": "us"})
    made = manager.create_configuration(asked)
    assert (made.id, made.priority, made.labels, made.etag) == (name, 10, {"owner": "us"}, "MQ==")

    twin = eventually(lambda: registry.get_twin(device_id), lambda twin: "chillerWater" in twin.properties.desired)
    assert twin.properties.desired["chillerWater"] == {"temperature": 66}
    assert twin.additional_properties["configurations"] == {name: {"status": "Applied"}}

    read = manager.get_configuration(name)
    assert read.system_metrics.results == {"targetedCount": 1, "appliedCount": 1}
    assert read.metrics.results == {"hot": 0}
    assert name in [item.id for item in manager.get_configurations()]

    read.target_condition = "tags.unit = 'nobody'"
    changed = manager.update_configuration(read, f'"{read.etag}"')
    assert changed.etag == "Mg=="
    eventually(lambda: registry.get_twin(device_id), lambda twin: "chillerWater" not in twin.properties.desired)

    manager.delete_configuration(name)
    with pytest.raises(HttpOperationError) as missing:
        manager.get_configuration(name)
    assert missing.value.response.headers["iothub-errorcode"] == "ConfigurationNotFound"


def test_a_module_configuration(
    manager: IoTHubConfigurationManager, registry: IoTHubRegistryManager, name: str, device_id: str
) -> None:
    registry.create_module_with_sas(device_id, "m", "", "", "")
    content = ConfigurationContent(module_content={"properties.desired.rate": 5})
    condition = f"from devices.modules where deviceId = '{device_id}' and moduleId = 'm'"
    manager.create_configuration(configuration(name, content, condition))
    eventually(lambda: registry.get_module_twin(device_id, "m"), lambda twin: twin.properties.desired.get("rate") == 5)
    manager.delete_configuration(name)
    assert registry.get_module_twin(device_id, "m").properties.desired["rate"] == 5


def test_an_edge_deployment(manager: IoTHubConfigurationManager, registry: IoTHubRegistryManager, name: str) -> None:
    edge = f"e-{name}"
    registry.create_device_with_sas(edge, "", "", "enabled", iot_edge=True)
    registry.update_twin(edge, Twin(tags={"unit": name}))
    system = {part: {"type": "docker", "settings": {"image": part}} for part in ("edgeAgent", "edgeHub")}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": system,
        "modules": {"sim": {"type": "docker", "settings": {"image": "sim:1"}}},
    }
    content = ConfigurationContent(
        modules_content={
            "$edgeAgent": {"properties.desired": agent},
            "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
            "sim": {"properties.desired": {"rate": 5}},
        }
    )
    manager.create_configuration(configuration(name, content, f"tags.unit = '{name}'"))
    modules = eventually(lambda: registry.get_modules(edge), lambda modules: len(modules) == 3)
    assert [(module.module_id, module.managed_by) for module in modules][2] == ("sim", "iotEdge")
    assert registry.get_module_twin(edge, "sim").properties.desired["rate"] == 5
    manager.apply_configuration_on_edge_device(edge, content)
    manager.delete_configuration(name)


def test_queries_are_tried(manager: IoTHubConfigurationManager) -> None:
    given = ConfigurationQueriesTestInput(target_condition="*", custom_metric_queries={"bad": "SELECT", "good": "x"})
    answer = manager.test_configuration_queries(given)
    assert answer.target_condition_error
    assert set(answer.custom_metric_query_errors) == {"bad", "good"}


class TestIfMatch:
    async def test_an_etag_without_quotes_counts_for_nothing(self, rest: Any, name: str) -> None:
        path = f"/configurations/{name}"
        made = await rest.call("PUT", path, BODY)
        assert (made.status, made.headers["ETag"], made.body["etag"]) == (200, '"MQ=="', "MQ==")
        bare = await rest.call("PUT", path, BODY, If_Match="MQ==")
        assert (bare.status, bare.headers["iothub-errorcode"]) == (409, "ConfigurationAlreadyExists")
        assert (await rest.call("PUT", path, BODY)).status == 409
        assert (await rest.call("PUT", path, BODY, If_Match='"MQ=="')).body["etag"] == "Mg=="
        assert (await rest.call("PUT", path, BODY, If_Match='"MQ=="')).status == 412
        for star in ("*", '"*"'):
            assert (await rest.call("PUT", path, BODY, If_Match=star)).status == 200
        assert (await rest.call("DELETE", path, If_Match='"MQ=="')).status == 412
        assert (await rest.call("DELETE", path)).status == 204
        assert (await rest.call("PUT", path, BODY, If_Match="*")).status == 404

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"targetCondition": "tags.a ="}, "InvalidConfigurationTargetCondition"),
            ({"content": {}}, "InvalidConfigurationContent"),
            ({"metrics": {"queries": {"m": "SELECT"}}}, "InvalidConfigurationCustomMetricsQuery"),
        ],
    )
    async def test_refusals_carry_their_names(self, rest: Any, name: str, change: Any, code: str) -> None:
        answer = await rest.call("PUT", f"/configurations/{name}", {**BODY, **change})
        assert (answer.status, answer.headers["iothub-errorcode"]) == (400, code)
