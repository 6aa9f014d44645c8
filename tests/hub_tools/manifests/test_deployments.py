"""Deployments and layers: the documents that come out, and documents read and written again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_tools.deployments import expand_template
from hub_tools.groups import Group
from hub_tools.manifests import (
    CreateOptions,
    Deployment,
    Layer,
    Module,
    RegistryCredential,
    Route,
    read_configuration,
    read_content,
    secret,
    upstream,
)
from iot_core.errors import ManifestError
from iot_core.manifest import merge_layers, parse_manifest

PROJECT = Path(__file__).resolve().parents[3]
CASES = json.loads((PROJECT / "tests/iot_core/manifest/layer_cases.json").read_text())["cases"]
VALID_CASES = [case for case in CASES if "error" not in case["expected"]]

SENSOR = Module(name="sensor", image="acme/sensor:1.0")
SCORER = Module(
    name="scorer",
    image="acme/scorer:2.1",
    ports={5001: 5001},
    gpu=True,
    env={"LEVEL": "info", "LIMIT": 5},
    startup_order=2,
    desired={"reportingInterval": 10},
)
BASE = Deployment(
    name="base",
    target=Group("b1", "tags.building = 'B1'"),
    priority=10,
    modules=[SENSOR, SCORER],
    routes=[
        Route("toScorer", sensor_to_scorer := SENSOR.output("t") >> SCORER.input("telemetry")),
        Route("hot", (SCORER.output("scores") >> upstream).where("score > 0.9"), priority=0, ttl_s=3600),
    ],
)


def test_a_base_is_a_manifest_that_the_agent_reads() -> None:
    manifest = parse_manifest(BASE.to_content())
    scorer = manifest.agent.modules["scorer"]
    assert scorer.image == "acme/scorer:2.1"
    assert scorer.env == {"LEVEL": "info", "LIMIT": "5"}
    assert scorer.startup_order == 2
    assert scorer.create_options["HostConfig"]["PortBindings"] == {"5001/tcp": [{"HostPort": "5001"}]}
    assert scorer.create_options["HostConfig"]["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    assert manifest.twins == {"scorer": {"reportingInterval": 10}}
    assert manifest.hub.store_ttl_s == 7200


def test_create_options_are_compact_text() -> None:
    settings = SCORER.to_json()["settings"]
    assert settings["createOptions"].startswith('{"ExposedPorts":{"5001/tcp":{}},"HostConfig":{')


def test_routes_are_written_from_objects() -> None:
    routes = BASE.to_content()["modulesContent"]["$edgeHub"]["properties.desired"]["routes"]
    assert routes == {
        "toScorer": 'FROM /messages/modules/sensor/outputs/t INTO BrokeredEndpoint("/modules/scorer/inputs/telemetry")',
        "hot": {
            "route": "FROM /messages/modules/scorer/outputs/scores WHERE score > 0.9 INTO $upstream",
            "priority": 0,
            "timeToLiveSecs": 3600,
        },
    }


def test_a_configuration_says_whom_it_is_for() -> None:
    configuration = BASE.to_configuration()
    assert configuration["id"] == "base"
    assert configuration["targetCondition"] == "tags.building = 'B1'"
    assert configuration["priority"] == 10


def test_a_layer_adds_modules_routes_and_parts_of_twins() -> None:
    layer = Layer(
        name="extra",
        priority=20,
        modules=[Module(name="camera", image="acme/camera:1", desired={"fps": 5})],
        routes=[Route("pictures", "FROM /messages/modules/camera/* INTO $upstream")],
        settings={"scorer": {"limits.high": 30}},
    )
    merged = merge_layers([_named(BASE), _named(layer)])
    assert set(merged.desired["$edgeAgent"]["modules"]) == {"sensor", "scorer", "camera"}
    assert merged.desired["$edgeHub"]["routes"]["pictures"].endswith("INTO $upstream")
    assert merged.desired["scorer"] == {"reportingInterval": 10, "limits": {"high": 30}}
    assert merged.desired["camera"] == {"fps": 5}


def test_a_layer_without_modules_still_names_the_agent() -> None:
    layer = Layer(name="twin-only", settings={"scorer": {"rate": 1}})
    assert layer.to_content()["modulesContent"] == {"$edgeAgent": {}, "scorer": {"properties.desired.rate": 1}}


def test_a_variable_in_both_places_is_refused() -> None:
    module = Module(name="m", image="i:1", env={"A": "1"}, create_options=CreateOptions.of(env={"A": "2"}))
    with pytest.raises(ManifestError, match="A is set here and in Env"):
        module.to_json()


def test_long_options_are_cut_and_too_long_ones_refused_unless_allowed() -> None:
    options = CreateOptions.of(env={f"NAME_{n}": "x" * 80 for n in range(50)})
    module = Module(name="m", image="i:1", create_options=options)
    with pytest.raises(ManifestError, match="8 are allowed"):
        module.to_json()
    settings = replace(module, max_chunks=20).to_json()["settings"]
    assert list(settings)[:3] == ["image", "createOptions", "createOptions01"]
    assert all(len(value) <= 512 for key, value in settings.items() if key.startswith("createOptions"))


def test_an_id_that_the_hub_refuses_is_refused_here() -> None:
    with pytest.raises(ManifestError, match="no id of a deployment"):
        replace(BASE, name="Base One").to_configuration()


def test_secrets_stay_references_until_values_are_given() -> None:
    module = Module(
        name="text",
        image="i:1",
        env={"KEY": secret("TEXT_KEY")},
        create_options=CreateOptions.of(env={"ApiKey": secret("TEXT_KEY")}),
        desired={"key": secret("TWIN_KEY")},
    )
    login = RegistryCredential(address="acme.example", username="u", password=secret("PASSWORD"))
    base = Deployment(name="b", modules=[module], registries={"acme": login})
    values = {"TEXT_KEY": 's3"cret', "TWIN_KEY": "t", "PASSWORD": "p"}
    assert "s3" not in json.dumps(base.to_content())
    manifest = parse_manifest(base.to_content(values.__getitem__))
    assert manifest.agent.modules["text"].env == {"KEY": 's3"cret'}
    assert manifest.agent.modules["text"].create_options == {"Env": ['ApiKey=s3"cret']}
    assert manifest.agent.registry_credentials["acme"].password == "p"
    assert manifest.twins["text"] == {"key": "t"}


# -- documents in, objects, documents out


def test_the_projects_own_template_comes_out_as_it_went_in() -> None:
    variables = {"TEXT_ANALYTICS_KEY": "k", "TEXT_ANALYTICS_BILLING": "b", "CONTAINER_REGISTRY": "r"}
    document = expand_template(PROJECT / "deployment.template.json", variables=variables, target_platform="amd64")
    read = read_content("base", document)
    assert read.to_content() == document
    assert replace(read, source={}).to_content() == document


@pytest.mark.parametrize("case", VALID_CASES, ids=lambda case: case["id"])
def test_every_document_of_the_layer_cases_comes_out_as_it_went_in(case: dict[str, Any]) -> None:
    for deployment in case["deployments"]:
        read = read_content(deployment["name"], deployment)
        expected = {"modulesContent": deployment.get("modulesContent") or deployment["content"]["modulesContent"]}
        assert read.to_content() == expected
        assert replace(read, source={}).to_content() == expected


def test_a_change_leaves_what_has_no_name_here() -> None:
    content = BASE.to_content()
    agent = content["modulesContent"]["$edgeAgent"]["properties.desired"]
    agent["runtime"]["settings"] = {"minDockerVersion": "v1.41", "loggingOptions": "{}"}
    agent["integrity"] = {"header": {}}
    hub = content["modulesContent"]["$edgeHub"]["properties.desired"]
    hub["storeAndForwardConfiguration"]["storeLimits"] = {"maxSizeBytes": 1000}
    read = read_content("base", content)
    assert isinstance(read, Deployment)
    changed = replace(read, store_ttl_s=60).to_content()
    hub["storeAndForwardConfiguration"]["timeToLiveSecs"] = 60
    assert changed == content


def test_a_configuration_of_the_hub_is_read_with_its_target() -> None:
    read = read_configuration({**BASE.to_configuration(), "etag": "x", "systemMetrics": {}})
    assert read == read_content("base", BASE.to_content()).__class__(
        **{**read_content("base", BASE.to_content()).__dict__, "target": BASE.condition, "priority": 10}
    )


@pytest.mark.parametrize(
    "content",
    [
        {"$edgeAgent": {"properties.desired": {}}},
        {"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "systemModules": []}}},
        {"$edgeAgent": {"properties.desired.modules.m": {"settings": {}}}},
    ],
)
def test_a_document_that_is_none_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        read_content("x", {"modulesContent": content})


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
SCALARS = st.one_of(st.text(max_size=20), st.integers(-5, 5), st.booleans())
JSON = st.recursive(SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
OPTIONS = st.builds(
    CreateOptions,
    st.fixed_dictionaries(
        {},
        optional={
            "Env": st.lists(
                st.builds("{}={}".format, NAMES, st.text(max_size=30)), unique_by=lambda e: e.partition("=")[0]
            ),
            "HostConfig": st.dictionaries(NAMES, JSON, max_size=3),
            "Labels": st.dictionaries(NAMES, st.text(max_size=10), max_size=3),
        },
    ),
)
MODULES = st.builds(
    Module,
    name=NAMES,
    image=st.builds("acme/{}:{}".format, NAMES, NAMES),
    create_options=OPTIONS,
    env=st.dictionaries(st.from_regex(r"[A-Z]{1,6}", fullmatch=True), SCALARS, max_size=3),
    status=st.sampled_from(["running", "stopped"]),
    startup_order=st.none() | st.integers(0, 9),
    desired=st.none() | st.dictionaries(NAMES, JSON, max_size=3),
    max_chunks=st.just(100),
)
MODULE_LISTS = st.lists(MODULES, max_size=3, unique_by=lambda module: module.name)
DEPLOYMENTS = st.builds(Deployment, name=st.just("d"), modules=MODULE_LISTS)
LAYERS = st.builds(
    Layer,
    name=st.just("d"),
    modules=MODULE_LISTS,
    settings=st.dictionaries(NAMES, st.dictionaries(NAMES, JSON, min_size=1, max_size=2), max_size=2),
)


@given(st.one_of(DEPLOYMENTS, LAYERS))
def test_documents_of_any_objects_come_out_as_they_went_in(deployment: Deployment | Layer) -> None:
    document = deployment.to_content()
    read = read_content("d", document)
    assert type(read) is type(deployment)
    assert read.to_content() == document
    assert replace(read, source={}).to_content() == document


def _named(deployment: Deployment | Layer) -> dict[str, Any]:
    return {"name": deployment.name, "priority": deployment.priority, "created": 0, **deployment.to_content()}
