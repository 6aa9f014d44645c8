"""What holds for every document."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iot_core.manifest import merge_layers, parse_manifest
from iot_core.manifest.validation import Finding, LayerDocument, Severity, check_layers, check_manifest

CASES = json.loads((Path(__file__).parents[1] / "layer_cases.json").read_text())["cases"]
MERGED = [merge_layers(case["deployments"]).modules_content() for case in CASES if "error" not in case["expected"]]
NAMES = st.sampled_from(
    [
        "modulesContent", "content", "$edgeAgent", "$edgeHub", "properties.desired", "properties.desired.modules.m",
        "modules", "systemModules", "routes", "settings", "createOptions", "createOptions01", "env", "HostConfig",
        "PortBindings", "80/tcp", "schemaVersion", "runtime", "m", "properties.desired.routes.r", "${X}",
    ]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["FROM /* WHERE a!=b INTO $upstream", '{"HostConfig": {"PortBindings": {"80": [1]}}}', "1.1", "1.0", "[", "$X", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=40,
)


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is Severity.ERROR]


@given(JSON)
@settings(max_examples=300)
def test_any_json_is_checked_and_nothing_is_raised(document: Any) -> None:
    wrapped = {"modulesContent": {"$edgeAgent": {"properties.desired": document}, "$edgeHub": document}}
    for candidate in (document, wrapped):
        assert all(isinstance(finding, Finding) for finding in check_manifest(candidate))
        check_layers([LayerDocument(name="a", document=candidate), LayerDocument(name="b", document=document)])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(st.integers(0, len(MERGED) - 1), st.randoms(use_true_random=False), JSON)
@settings(max_examples=300)
def test_what_the_parser_refuses_has_an_error(index: int, random: Random, value: Any) -> None:
    document = deepcopy(MERGED[index])
    container, key = random.choice(places(document))
    container[key] = value
    assert errors(check_manifest(document, kind="base")) or parse_manifest(document)


@pytest.mark.parametrize("document", MERGED)
def test_the_worked_cases_have_no_errors(document: Any) -> None:
    assert [finding for finding in errors(check_manifest(document)) if finding.rule != "V09"] == []


def test_documents_nested_at_will_are_checked() -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    document = {"modulesContent": {"$edgeAgent": {}, "m": {"properties.desired.x": deep}}}
    assert [finding.rule for finding in check_manifest(document)] == ["V08"]
    assert check_layers([LayerDocument(name="a", document=document)])
