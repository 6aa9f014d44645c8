from __future__ import annotations

from typing import Any

import pytest

from iot_core.errors import ManifestError
from iot_core.manifest import RouteSpec, parse_agent, parse_edge_hub, parse_manifest

ENGINE = {"type": "docker", "settings": {"image": "engine:1.5"}}


def module_object(**changes: Any) -> dict[str, Any]:
    module = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": " a:1 "}}
    return {key: value for key, value in {**module, **changes}.items() if value is not ...}


def agent_desired(**changes: Any) -> dict[str, Any]:
    """Desired properties of $edgeAgent; a change to ... (Ellipsis) leaves the key out."""
    desired = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {"edgeAgent": ENGINE, "edgeHub": {**ENGINE, "status": "running"}},
        "modules": {"m": module_object()},
    }
    return {key: value for key, value in {**desired, **changes}.items() if value is not ...}


def hub_desired(**changes: Any) -> dict[str, Any]:
    desired = {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 60}}
    return {key: value for key, value in {**desired, **changes}.items() if value is not ...}


def content(**modules: Any) -> dict[str, Any]:
    whole = {"$edgeAgent": agent_desired(), "$edgeHub": hub_desired()}
    sections = {name: {"properties.desired": desired} for name, desired in whole.items()}
    return {"modulesContent": {**sections, **modules}}


def test_a_manifest_gives_agent_hub_and_twins() -> None:
    manifest = parse_manifest(content(m={"properties.desired": {"rate": 5}}))
    assert list(manifest.agent.modules) == ["m"]
    assert (manifest.hub.store_ttl_s, manifest.twins) == (60, {"m": {"rate": 5}})


@pytest.mark.parametrize(
    "wrap", [lambda d: d, lambda d: {"content": d}, lambda d: {"moduleContent": d["modulesContent"]}]
)
def test_every_envelope_is_read(wrap: Any) -> None:
    assert parse_manifest(wrap(content())).agent.schema_version == "1.1"


def test_a_module_has_the_defaults_of_the_agent() -> None:
    module = parse_agent(agent_desired()).modules["m"]
    assert (module.name, module.image, module.version, module.pull_policy) == ("m", "a:1", "", "on-create")
    assert (module.startup_order, module.env, module.create_options) == (4294967295, {}, {})


def test_a_module_says_everything_it_can() -> None:
    value = module_object(
        status="stopped",
        restartPolicy="on-unhealthy",
        version="7",
        imagePullPolicy="never",
        startupOrder=3,
        settings={"image": "a@sha256:00ff", "createOptions": '{"Cmd":', "createOptions01": '["x"]}', "digest": "d"},
    )
    module = parse_agent(agent_desired(modules={"m": value})).modules["m"]
    assert (module.status, module.restart_policy, module.version) == ("stopped", "on-unhealthy", "7")
    assert (module.pull_policy, module.startup_order) == ("never", 3)
    assert module.create_options == {"Cmd": ["x"]}


def test_environment_values_are_text() -> None:
    values = {"T": "t", "I": 5, "F": 0.5, "B": True, "N": None}
    env = {name: {"value": value} for name, value in values.items()}
    module = parse_agent(agent_desired(modules={"m": module_object(env=env)})).modules["m"]
    assert module.env == {"T": "t", "I": "5", "F": "0.5", "B": "true", "N": ""}


def test_the_agent_comes_first_and_the_hub_is_restarted_by_default() -> None:
    system = parse_agent(agent_desired()).system_modules
    assert (system["edgeAgent"].startup_order, system["edgeAgent"].status) == (0, "running")
    assert system["edgeHub"].restart_policy == "always"


def test_registry_passwords_are_not_in_the_repr() -> None:
    credentials = {"acr": {"address": "r.io", "username": "u", "password": "hunter2"}}
    runtime = {"type": "docker", "settings": {"registryCredentials": credentials}}
    agent = parse_agent(agent_desired(runtime=runtime))
    assert agent.registry_credentials["acr"].password == "hunter2"
    assert "hunter2" not in repr(agent)


def test_desired_properties_of_a_twin_may_carry_version_and_metadata() -> None:
    assert parse_agent({**agent_desired(), "$version": 3, "$metadata": {}}).modules
    assert parse_edge_hub({**hub_desired(), "$version": 3}).store_ttl_s == 60


@pytest.mark.parametrize("version", ["1.0", "1.0.9", "1.1", "1.1.0"])
def test_schema_versions_the_agent_takes(version: str) -> None:
    assert parse_agent(agent_desired(schemaVersion=version)).schema_version == version


@pytest.mark.parametrize("version", ["1", "1.1.1", "1.2", "0.1", "2.0", "1.1x", "11.1", "", 1.1, ...])
def test_schema_versions_the_agent_refuses(version: Any) -> None:
    with pytest.raises(ManifestError, match=r"\$edgeAgent\.schemaVersion: "):
        parse_agent(agent_desired(schemaVersion=version))


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.3.0", "1.3.7"])
def test_schema_versions_the_hub_takes(version: str) -> None:
    assert parse_edge_hub(hub_desired(schemaVersion=version)).schema_version == version


@pytest.mark.parametrize("version", ["1", "1.4", "0.1", "2.0"])
def test_schema_versions_the_hub_refuses(version: str) -> None:
    with pytest.raises(ManifestError, match=r"\$edgeHub\.schemaVersion: .* use one of 1\.0, 1\.1, 1\.2, 1\.3"):
        parse_edge_hub(hub_desired(schemaVersion=version))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "process"}, r"modules\.m\.type: 'process' is not one of docker"),
        ({"type": ...}, r"modules\.m\.type: is missing"),
        ({"status": "paused"}, r"modules\.m\.status: 'paused' is not one of running, stopped"),
        ({"status": ...}, r"modules\.m\.status: is missing"),
        ({"restartPolicy": "Always"}, r"modules\.m\.restartPolicy: 'Always' is not one of never"),
        ({"settings": ...}, r"modules\.m\.settings: is missing"),
        ({"settings": {}}, r"modules\.m\.settings\.image: is missing"),
        ({"settings": {"image": "a b"}}, r"settings\.image: 'a b' is not an image"),
        ({"settings": {"image": "a:1", "createOptions": "x"}}, r"settings\.createOptions: is not JSON"),
        ({"settings": {"image": "a:1", "img": "x"}}, r"settings\.img: is not known here"),
        ({"startupOrder": -1}, r"modules\.m\.startupOrder: must be a whole number from 0 to 4294967295"),
        ({"startupOrder": True}, r"modules\.m\.startupOrder: must be a whole number"),
        ({"imagePullPolicy": "always"}, "imagePullPolicy: 'always' is not one of on-create, never"),
        ({"restartpolicy": "always"}, r"modules\.m\.restartpolicy: is not known here"),
        ({"env": {"A.B": {"value": "1"}}}, r"modules\.m\.env: 'A\.B' is not a name"),
        ({"env": {"A": "1"}}, r"modules\.m\.env\.A: must be an object"),
        ({"env": {"A": {"value": [1]}}}, r"modules\.m\.env\.A\.value: must be text, a number"),
    ],
)
def test_a_module_that_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_agent(agent_desired(modules={"m": module_object(**changes)}))


@pytest.mark.parametrize("key", ["startupOrder", "imagePullPolicy"])
def test_what_came_with_schema_1_1_needs_it(key: str) -> None:
    modules = {"m": module_object(**{key: 1})}
    with pytest.raises(ManifestError, match=f"{key}: needs schemaVersion 1.1"):
        parse_agent(agent_desired(schemaVersion="1.0", modules=modules))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtime": ...}, r"\$edgeAgent\.runtime: is missing"),
        ({"runtime": {"type": "podman"}}, r"runtime\.type: 'podman' is not one of docker"),
        ({"systemModules": {"edgeAgent": ENGINE}}, r"systemModules\.edgeHub: is missing"),
        ({"systemModules": {"edgeAgent": ENGINE, "edgeHub": ENGINE}}, r"edgeHub\.status: is missing"),
        ({"modules": []}, r"modules: must be an object"),
        ({"modules": {"a b": module_object()}}, "'a b' is not a name"),
        ({"modules": {f"m{index}": module_object() for index in range(51)}}, "51 modules: a deployment may have 50"),
    ],
)
def test_an_agent_section_that_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_agent(agent_desired(**changes))


def test_an_agent_section_may_have_no_modules() -> None:
    assert parse_agent(agent_desired(modules=...)).modules == {}


UP = "FROM /* INTO $upstream"


@pytest.mark.parametrize(
    ("value", "route"),
    [
        (UP, RouteSpec(name="r", text=UP, priority=2_000_000_000, ttl_s=None)),
        ({"route": UP}, RouteSpec(name="r", text=UP)),
        ({"route": UP, "priority": 0, "timeToLiveSecs": 5}, RouteSpec(name="r", text=UP, priority=0, ttl_s=5)),
        ({"route": UP, "priority": 9, "timeToLiveSecs": 0}, RouteSpec(name="r", text=UP, priority=9, ttl_s=None)),
    ],
)
def test_routes_are_text_or_objects(value: Any, route: RouteSpec) -> None:
    assert parse_edge_hub(hub_desired(routes={"r": value})).routes == {"r": route}


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({"r": {"route": UP, "priority": 10}}, r"routes\.r\.priority: must be a whole number from 0 to 9"),
        ({"r": {"route": UP, "timeToLiveSecs": -1}}, r"routes\.r\.timeToLiveSecs: must be"),
        ({"r": {"priority": 1}}, r"routes\.r\.route: is missing"),
        ({"r": " "}, r"routes\.r: is blank"),
        ({"r": 5}, r"routes\.r: must be the text of a route"),
        ({"a.b": UP}, "'a.b' is not a name"),
        ({"": UP}, "'' is not a name"),
    ],
)
def test_routes_that_are_refused(routes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_edge_hub(hub_desired(routes=routes))


def test_schema_1_0_has_no_object_routes_and_skips_blank_ones() -> None:
    old = hub_desired(schemaVersion="1.0", routes={"r": " "}, storeAndForwardConfiguration=...)
    assert (parse_edge_hub(old).routes, parse_edge_hub(old).store_ttl_s) == ({}, 7200)
    with pytest.raises(ManifestError, match=r"routes\.r: .* needs schemaVersion 1\.1"):
        parse_edge_hub({**old, "routes": {"r": {"route": UP}}})


def test_store_and_forward_is_required_since_1_1_and_may_never_expire() -> None:
    assert parse_edge_hub(hub_desired(storeAndForwardConfiguration={"timeToLiveSecs": -1})).store_ttl_s == -1
    with pytest.raises(ManifestError, match="storeAndForwardConfiguration: is missing"):
        parse_edge_hub(hub_desired(storeAndForwardConfiguration=...))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "modulesContent: is missing"),
        ({"modulesContent": []}, "modulesContent: is missing or not an object"),
        ({"modulesContent": {"m": 1}}, r"modulesContent\.m: must be an object"),
        ({"modulesContent": {"m": {"desired": {}}}}, r"modulesContent\.m\.desired: must be 'properties\.desired'"),
        ({"modulesContent": {"m": {"properties.desired": 1}}}, r"m\.properties\.desired: must be an object"),
        ({"modulesContent": {"$edgeAgent": {}}}, r"modulesContent\.\$edgeAgent: is missing"),
        (content(m={"properties.desired.a": 1}), r"m\.properties\.desired\.a: belongs to a layer"),
    ],
)
def test_an_envelope_that_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_manifest(document)
