"""Reading the desired properties of $edgeAgent and the createOptions that the process engine understands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iot_core.manifest import ModuleSpec
from local_edge.agent import create_options
from local_edge.agent.deployment import parse_deployment
from local_edge.errors import DeploymentError

IMAGE = {"type": "docker", "settings": {"image": "i"}}
GOOD: dict[str, Any] = {
    "schemaVersion": "1.1",
    "runtime": {"type": "docker", "settings": {}},
    "systemModules": {"edgeAgent": IMAGE, "edgeHub": {**IMAGE, "status": "running", "restartPolicy": "always"}},
    "modules": {"m": {**IMAGE, "status": "running", "restartPolicy": "always"}},
    "$version": 7,
}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schemaVersion": "1.2"}, 412),
        ({"schemaVersion": None}, 412),
        ({"runtime": {"type": "podman"}}, 400),
        ({"systemModules": {}}, 400),
        ({"modules": {"m": {"type": "docker"}}}, 400),
    ],
)
def test_a_bad_deployment_has_its_code(changes: dict[str, Any], code: int) -> None:
    with pytest.raises(DeploymentError) as caught:
        parse_deployment({**GOOD, **changes})
    assert caught.value.code == code


def test_an_empty_deployment_is_417() -> None:
    with pytest.raises(DeploymentError) as caught:
        parse_deployment({"$version": 1})
    assert caught.value.code == 417


def test_a_deployment_needs_the_identities_of_its_modules_and_of_agent_and_hub() -> None:
    deployment = parse_deployment(GOOD)
    assert (deployment.version, deployment.identities) == (7, {"$edgeAgent", "$edgeHub", "m"})


def module(name: str = "m", **options: Any) -> ModuleSpec:
    return ModuleSpec(name=name, image="i", create_options=json.loads(json.dumps(options)))


def test_ports_are_the_bound_ones_and_an_empty_host_port_is_the_container_port() -> None:
    bindings = {"5001/tcp": [{"HostPort": "6001"}], "53/udp": [{"HostPort": ""}]}
    assert create_options.published_ports(module(HostConfig={"PortBindings": bindings})) == {
        "5001/tcp": 6001,
        "53/udp": 53,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"HostConfig": []},
        {"HostConfig": {"PortBindings": {"x": []}}},
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}},
    ],
)
def test_wrong_port_bindings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DeploymentError, match="m"):
        create_options.published_ports(module(**options))


def test_env_and_cmd_are_read_and_wrong_shapes_refused() -> None:
    assert create_options.environment(module(Env=["A=1=2", "B"])) == {"A": "1=2", "B": ""}
    assert create_options.arguments(module(Cmd=["Eula=accept"])) == ["Eula=accept"]
    with pytest.raises(DeploymentError, match="Env"):
        create_options.environment(module(Env={"A": "1"}))
    with pytest.raises(DeploymentError, match="Cmd"):
        create_options.arguments(module(Cmd=[1]))


def test_a_port_clash_names_both_modules_and_udp_is_apart() -> None:
    assert "modules a and b both want host port 80" in (
        create_options.port_clash([("a", {"80/tcp": 80}), ("b", {"8080/tcp": 80})]) or ""
    )
    assert create_options.port_clash([("a", {"53/tcp": 53}), ("b", {"53/udp": 53})]) is None
