"""Container options by name, and the JSON that comes out."""

from __future__ import annotations

import pytest

from hub_tools.manifests import CreateOptions, LogConfig, PortBinding
from iot_core.errors import ManifestError


def test_a_port_is_exposed_and_bound() -> None:
    options = CreateOptions.of(ports={5000: 5000, "53/udp": "127.0.0.1:5353", 80: None})
    assert options.document == {
        "ExposedPorts": {"5000/tcp": {}, "53/udp": {}, "80/tcp": {}},
        "HostConfig": {
            "PortBindings": {
                "5000/tcp": [{"HostPort": "5000"}],
                "53/udp": [{"HostPort": "5353", "HostIp": "127.0.0.1"}],
                "80/tcp": [{"HostPort": ""}],
            }
        },
    }


def test_a_container_port_may_have_several_host_ports() -> None:
    options = CreateOptions.of(ports={5001: [5001, "127.0.0.1:5002"]})
    assert options.port_bindings == [
        PortBinding(container_port=5001, host_port="5001"),
        PortBinding(container_port=5001, host_port="5002", host_ip="127.0.0.1"),
    ]


def test_gpus_are_asked_for_by_a_list_of_lists() -> None:
    assert CreateOptions.of(gpu=True).device_requests == [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
    assert CreateOptions.of(gpu=2).device_requests[0]["Count"] == 2


def test_memory_and_cpus_are_whole_numbers_of_the_engines_units() -> None:
    options = CreateOptions.of(memory="512m", cpus=1.5)
    assert options.document["HostConfig"] == {"Memory": 536870912, "NanoCpus": 1_500_000_000}
    assert (options.memory, options.cpus) == (536870912, 1.5)


def test_the_host_network_is_named_as_the_engine_wants_it() -> None:
    document = CreateOptions.of(network_mode="host").document
    assert document == {
        "HostConfig": {"NetworkMode": "host"},
        "NetworkingConfig": {"EndpointsConfig": {"host": {}}},
    }


def test_variables_are_read_back_by_name() -> None:
    options = CreateOptions.of(env={"Eula": "accept", "Billing": "https://x/?a=b"})
    assert options.document == {"Env": ["Eula=accept", "Billing=https://x/?a=b"]}
    assert options.env == {"Eula": "accept", "Billing": "https://x/?a=b"}


def test_everything_else_passes_through() -> None:
    log = LogConfig(options={"max-size": "10m"})
    options = CreateOptions.of(
        binds=["/data:/data:ro"],
        mounts=[{"Type": "volume", "Source": "v", "Target": "/v"}],
        log=log,
        privileged=True,
        extra={"Hostname": "h", "HostConfig": {"ShmSize": 1024, "Privileged": None}},
    )
    assert options.binds == ["/data:/data:ro"]
    assert options.mounts[0]["Target"] == "/v"
    assert options.host_config["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m"}}
    assert options.host_config["ShmSize"] == 1024
    assert options.document["Hostname"] == "h"
    assert not options.privileged


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ports": {0: 80}}, "container port"),
        ({"ports": {"80/icmp": 80}}, "container port"),
        ({"ports": {80: 70000}}, "host port"),
        ({"ports": {80: "localhost:http"}}, "host port"),
        ({"memory": "lots"}, "512m"),
    ],
)
def test_bad_options_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        CreateOptions.of(**arguments)  # type: ignore[arg-type]


def test_bindings_the_engine_would_not_read_are_refused() -> None:
    options = CreateOptions({"HostConfig": {"PortBindings": {"80/tcp": {"HostPort": "80"}}}})
    with pytest.raises(ManifestError, match="must be a list"):
        _ = options.port_bindings
