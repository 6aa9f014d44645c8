"""Several deployments that meet on one device."""

from __future__ import annotations

import json
from typing import Any

from iot_core.manifest.validation import LayerDocument, check_layers


def with_port(host_port: int) -> dict[str, Any]:
    options = json.dumps({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": str(host_port)}]}}})
    settings = {"image": "acme/m:1", "createOptions": options}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings}


def whole(routes: dict[str, str] | None = None, **modules: Any) -> dict[str, Any]:
    engine = {"type": "docker", "settings": {"image": "acme/runtime:1.5"}}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {"edgeAgent": engine, "edgeHub": {**engine, "status": "running", "restartPolicy": "always"}},
        "modules": modules,
    }
    hub = {"schemaVersion": "1.1", "routes": routes or {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    desired = {"$edgeAgent": agent, "$edgeHub": hub}
    return {"modulesContent": {name: {"properties.desired": value} for name, value in desired.items()}}


def over(**modules: Any) -> dict[str, Any]:
    return {"modulesContent": {"$edgeAgent": {f"properties.desired.modules.{name}": m for name, m in modules.items()}}}


def check(*documents: Any, priorities: tuple[int | None, ...] = ()) -> list[tuple[str, str, str]]:
    named = [
        LayerDocument(name=f"d{n}", document=document, priority=priorities[n] if priorities else None)
        for n, document in enumerate(documents)
    ]
    return [(name, finding.rule, finding.severity.value) for name, finding in check_layers(named)]


def test_host_ports_collide_across_layers() -> None:
    assert check(whole(a=with_port(80)), over(b=with_port(80))) == [("", "V04", "error")]


def test_a_layer_that_replaces_the_module_takes_its_port_over() -> None:
    assert check(whole(a=with_port(80)), over(a=with_port(80))) == []


def test_a_route_of_the_base_may_lead_to_a_module_of_a_layer() -> None:
    up = 'FROM /messages/modules/b/* INTO BrokeredEndpoint("/modules/a/inputs/i")'
    assert check(whole({"r": up}, b=with_port(81)), over(a=with_port(80))) == []
    assert check(whole({"r": up}, b=with_port(81))) == [("", "V09", "error")]


def test_all_modules_together_are_fifty_at_most() -> None:
    base = whole(**{f"a{n}": with_port(1000 + n) for n in range(30)})
    layer = over(**{f"b{n}": with_port(2000 + n) for n in range(30)})
    assert check(base, layer) == [("", "V08", "error")]


def test_layers_need_a_base_below_them() -> None:
    assert check(over(a=with_port(80))) == [("", "V14", "error")]
    assert check(whole(), over(a=with_port(80)), priorities=(5, 5)) == [("", "V14", "error")]


def test_layers_of_one_priority_and_several_bases_are_warned_of() -> None:
    layers = over(a=with_port(80)), over(b=with_port(81))
    assert check(whole(), *layers, priorities=(1, 2, 2)) == [("", "V14", "warning")]
    assert check(whole(), whole()) == [("", "V14", "warning")]


def test_what_is_wrong_in_one_document_is_told_once_and_hides_nothing() -> None:
    broken = over(b=with_port(80), c={"type": "docker"})
    found = check(whole(a=with_port(80)), broken)
    assert found.count(("d1", "V01", "error")) == 3
    assert ("", "V04", "error") in found
    assert ("", "V01", "error") not in found


def test_documents_of_any_kind_are_told_of() -> None:
    assert {name for name, *_ in check(None, [], whole())} == {"d0", "d1", ""}
