from __future__ import annotations

import json
from typing import Any

import pytest

from iot_core.errors import ManifestError
from iot_core.manifest import expand_template, module_images, parse_manifest, parse_module_json
from iot_core.manifest.template import try_template

MODULE_JSON = """{"$schema-version": "0.0.1", "image": {
  "repository": "${REGISTRY}/Filter", "contextPath": "../..", "buildOptions": ["--pull"],
  "tag": {"version": "0.0.2", "platforms": {"amd64": "./Dockerfile.amd64", "amd64.debug": "./Dockerfile.amd64.debug",
    "arm64v8": "./Dockerfile.arm64v8"}}}}"""
IMAGES = {"${MODULES.filter}": "r.io/filter:1-amd64", "${MODULEDIR<../filter>}": "r.io/other:1-amd64"}


def template(module: dict[str, Any] | None = None, **desired: Any) -> str:
    """A whole template with one module, "filter"; `desired` goes into $edgeHub's desired properties."""
    system = {"type": "docker", "settings": {"image": "hub:1.5", "createOptions": {"User": "1000"}}}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": {"image": "agent:1.5"}},
            "edgeHub": {**system, "status": "running", "restartPolicy": "always"},
        },
        "modules": {"filter": filter_module(**(module or {}))},
    }
    hub = {
        "schemaVersion": "1.1",
        "routes": {"up": "FROM /messages/modules/filter/* WHERE $body.t > 1 INTO $upstream"},
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    content = {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": {**hub, **desired}}}
    return json.dumps({"$schema-template": "4.0.0", "modulesContent": content})


def filter_module(**changes: Any) -> dict[str, Any]:
    settings = {"image": "${MODULES.filter}", "createOptions": {"HostConfig": {}}}
    module = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings}
    return {**module, **changes}


def expand(text: str, **variables: str) -> dict[str, Any]:
    return expand_template(text, variables=variables, images=IMAGES)


def filter_settings(manifest: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = manifest["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["filter"][
        "settings"
    ]
    return settings


def test_a_template_becomes_a_manifest() -> None:
    manifest = parse_manifest(expand(template()))
    assert manifest.agent.modules["filter"].image == "r.io/filter:1-amd64"
    assert manifest.agent.system_modules["edgeHub"].create_options == {"User": "1000"}
    assert manifest.hub.routes["up"].text.endswith("INTO $upstream")


def test_the_mark_of_the_template_goes() -> None:
    assert list(expand(template())) == ["modulesContent"]


def test_create_options_become_compact_text() -> None:
    assert filter_settings(expand(template()))["createOptions"] == '{"HostConfig":{}}'


def test_long_create_options_become_chunks() -> None:
    settings = {"image": "a:1", "createOptions": {"Env": ["x" * 600]}}
    expanded = filter_settings(expand(template({"settings": settings})))
    assert list(expanded) == ["image", "createOptions", "createOptions01"]


def test_create_options_given_as_text_are_compacted_too() -> None:
    settings = {"image": "a:1", "createOptions": '{ "Env": [ ] }'}
    assert filter_settings(expand(template({"settings": settings})))["createOptions"] == '{"Env":[]}'


def test_create_options_over_eight_chunks_are_refused_unless_allowed() -> None:
    text = template({"settings": {"image": "a:1", "createOptions": {"Env": ["x" * 5000]}}})
    with pytest.raises(ManifestError, match=r"modules\.filter\.settings\.createOptions: createOptions need 10 chunks"):
        expand(text)
    expanded = expand_template(text, variables={}, images={}, max_chunks=10)
    assert "createOptions09" in filter_settings(expanded)


def test_variables_are_replaced_with_and_without_braces_and_quotes() -> None:
    text = template({"env": {"A": {"value": "$NAME-${NAME}"}, "B": {"value": "@"}}}).replace('"@"', "$COUNT")
    module = parse_manifest(expand(text, NAME="x", COUNT="5")).agent.modules["filter"]
    assert module.env == {"A": "x-x", "B": "5"}


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    text = template({"env": {"A": {"value": "$PASSWORD"}}})
    assert parse_manifest(expand(text, PASSWORD="$HOME${X}")).agent.modules["filter"].env == {"A": "$HOME${X}"}


@pytest.mark.parametrize(
    ("image", "tag"), [("${MODULES.filter}", "r.io/filter:1-amd64"), ("${MODULEDIR<../filter>}", "r.io/other:1-amd64")]
)
def test_placeholders_of_images_get_their_tag(image: str, tag: str) -> None:
    assert filter_settings(expand(template({"settings": {"image": image}})))["image"] == tag


def test_a_layer_is_expanded_too() -> None:
    layer = {"content": {"modulesContent": {"$edgeAgent": {"properties.desired.modules.filter": filter_module()}}}}
    module = expand(json.dumps(layer))["content"]["modulesContent"]["$edgeAgent"]["properties.desired.modules.filter"]
    assert module["settings"] == {"image": "r.io/filter:1-amd64", "createOptions": '{"HostConfig":{}}'}


@pytest.mark.parametrize(
    ("module", "left"),
    [
        ({"env": {"A": {"value": "$MISSING"}}}, r"env\.A\.value: \$MISSING is left over"),
        ({"env": {"A": {"value": "x ${MISSING} y"}}}, r"\$\{MISSING\} is left over"),
        ({"env": {"$MISSING": {"value": "1"}}}, r"\$MISSING is left over"),
        ({"settings": {"image": "${MODULES.other}"}}, r"settings\.image: \$\{MODULES\.other\} is left over"),
        ({"settings": {"image": "${MODULEDIR<./x>}"}}, r"\$\{MODULEDIR<\./x>\} is left over"),
        ({"settings": {"image": "r/${MODULES.filter}"}}, r"\$\{MODULES\.filter\} is left over"),
        ({"settings": {"image": "a:1", "createOptions": {"Env": ["x" * 490 + "${CUT}"]}}}, r"\$\{CUT\} is left over"),
        ({"env": {"A": {"value": "$ONE $TWO"}}}, r"\$ONE, \$TWO is left over"),
    ],
)
def test_what_is_left_over_is_refused_by_name(module: dict[str, Any], left: str) -> None:
    with pytest.raises(ManifestError, match=left):
        expand(template(module))


def test_braces_are_left_over_in_a_route_too() -> None:
    with pytest.raises(ManifestError, match=r"routes\.r: \$\{SINK\} is left over"):
        expand(template(routes={"r": "FROM /* WHERE $body.a = 1 INTO ${SINK}"}))


def test_a_system_module_takes_no_placeholder() -> None:
    with pytest.raises(ManifestError, match=r"edgeAgent\.settings\.image: \$\{MODULES\.filter\} is left over"):
        expand(template().replace("agent:1.5", "${MODULES.filter}"))


def test_upstream_is_no_variable() -> None:
    image = "$upstream:443/filter:1"
    assert filter_settings(expand(template({"settings": {"image": image}})))["image"] == image


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[]", "must be a JSON object"), ("{}", "modulesContent: is missing")]
)
def test_text_that_is_no_template_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        expand(text)


def test_module_json_gives_every_placeholder_of_its_folder() -> None:
    module = parse_module_json(MODULE_JSON, {"REGISTRY": "R.io"})
    assert module_images("filter", module) == {
        "${MODULES.filter}": "r.io/filter:0.0.2-amd64",
        "${MODULES.filter.debug}": "r.io/filter:0.0.2-amd64.debug",
        "${MODULES.filter.amd64}": "r.io/filter:0.0.2-amd64",
        "${MODULES.filter.amd64.debug}": "r.io/filter:0.0.2-amd64.debug",
        "${MODULES.filter.arm64v8}": "r.io/filter:0.0.2-arm64v8",
    }


def test_module_json_of_a_path_gives_moduledir_placeholders() -> None:
    module = parse_module_json(MODULE_JSON, {"REGISTRY": "r.io"})
    images = module_images("../filter", module, platform="arm64v8", container_tag="ci")
    assert images["${MODULEDIR<../filter>}"] == "r.io/filter:0.0.2-ci-arm64v8"
    assert "${MODULEDIR<../filter>.debug}" not in images


def test_module_json_knows_how_the_image_is_built() -> None:
    module = parse_module_json(MODULE_JSON, {"REGISTRY": "r.io"})
    assert (module.build_options, module.context_path) == (("--pull",), "../..")
    assert module.platforms["arm64v8"] == "./Dockerfile.arm64v8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODULE_JSON, r"module\.json: \$\{REGISTRY\} is not defined"),
        ("{}", r"module\.json\.image: is missing"),
        ('{"image": {"repository": 1, "tag": {}}}', r"image\.repository: must be text"),
        ('{"image": {"repository": "r", "tag": {}, "buildOptions": "x"}}', "must be a list of texts"),
        ("no json", "is not JSON"),
        ("[]", "must be an object"),
    ],
)
def test_module_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_module_json(text, {})


def test_an_unquoted_variable_that_is_not_defined_is_named() -> None:
    with pytest.raises(ManifestError, match=r"\$COUNT is not defined \(line 1, column"):
        expand(template({"env": {"B": {"value": "@"}}}).replace('"@"', "$COUNT"))


def test_everything_that_is_wrong_is_told_where_asked_for() -> None:
    module = {"env": {"A": {"value": "$ONE"}}, "settings": {"image": "a:1", "createOptions": {"Env": ["x" * 5000]}}}
    expansion = try_template(template(module, twin="${TWO}"), variables={}, images={})
    assert list(expansion.left_over) == ["$ONE", "${TWO}"]
    assert ["need 10 chunks" in str(error) for error in expansion.refused] == [True]


def test_a_container_tag_stands_before_the_platform() -> None:
    module = parse_module_json(MODULE_JSON, {"REGISTRY": "r.io"})
    images = module_images("filter", module, container_tag="ci")
    assert images["${MODULES.filter.debug}"] == "r.io/filter:0.0.2-ci-amd64.debug"
