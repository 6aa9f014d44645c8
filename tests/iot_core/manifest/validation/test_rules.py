"""Each rule: what it finds, where, how bad it is, and what passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iot_core.manifest.validation import RULES, Finding, check_manifest


def options(**value: Any) -> dict[str, Any]:
    """A module's settings with these createOptions."""
    return {"image": "acme/m:1", "createOptions": json.dumps(value, separators=(",", ":"))}


def ports(host_port: str, *, address: str = "", protocol: str = "tcp") -> dict[str, Any]:
    return {"PortBindings": {f"80/{protocol}": [{"HostPort": host_port, "HostIp": address}]}}


def module(**changes: Any) -> dict[str, Any]:
    return {
        "type": "docker",
        "status": "running",
        "restartPolicy": "always",
        "settings": {"image": "acme/m:1"},
        **changes,
    }


def base(
    routes: dict[str, Any] | None = None,
    agent: dict[str, Any] | None = None,
    hub: dict[str, Any] | None = None,
    twins: dict[str, Any] | None = None,
    **modules: Any,
) -> dict[str, Any]:
    """A sound base with these modules and routes; `agent` and `hub` are laid over the desired properties."""
    engine = {"type": "docker", "settings": {"image": "acme/runtime:1.5"}}
    agent_desired = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {"edgeAgent": engine, "edgeHub": {**engine, "status": "running", "restartPolicy": "always"}},
        "modules": modules,
    }
    hub_desired = {
        "schemaVersion": "1.1",
        "routes": routes or {},
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    wholes = {
        "$edgeAgent": {**agent_desired, **(agent or {})},
        "$edgeHub": {**hub_desired, **(hub or {})},
        **(twins or {}),
    }
    return {"modulesContent": {name: {"properties.desired": desired} for name, desired in wholes.items()}}


def layer(**sections: Any) -> dict[str, Any]:
    agent = sections.pop("agent", {})
    hub = {"$edgeHub": sections.pop("hub")} if "hub" in sections else {}
    return {"modulesContent": {"$edgeAgent": agent, **hub, **sections}}


def route(text: str) -> dict[str, Any]:
    return base(routes={"r": text}, m=module(), n=module())


def where(condition: str) -> dict[str, Any]:
    return route(f"FROM /messages/modules/m/outputs/o WHERE {condition} INTO $upstream")


AGENT = "modulesContent.$edgeAgent.properties.desired"
HUB = "modulesContent.$edgeHub.properties.desired"
M = f"{AGENT}.modules.m"
OPTIONS = f"{M}.settings.createOptions"
R = f"{HUB}.routes.r"
UP = "FROM /messages/* INTO $upstream"

BAD: list[tuple[str, str, str, Any]] = [
    ("V01", "error", "document", []),
    ("V01", "error", "modulesContent", {}),
    ("V01", "error", "modulesContent.$edgeHub", {"modulesContent": {"$edgeAgent": {"properties.desired": {}}}}),
    ("V01", "error", f"{AGENT}.schemaVersion", base(agent={"schemaVersion": "1.2"})),
    ("V01", "error", f"{HUB}.schemaVersion", base(hub={"schemaVersion": "1.4"})),
    ("V01", "error", f"{AGENT}.systemModules.edgeHub", base(agent={"systemModules": {"edgeAgent": {}}})),
    ("V01", "error", f"{AGENT}.runtime.type", base(agent={"runtime": {"type": "podman"}})),
    ("V01", "error", f"{M}.restartPolicy", base(m=module(restartPolicy="sometimes"))),
    ("V01", "error", f"{M}.statos", base(m=module(statos="running"))),
    ("V01", "error", f"{M}.settings.image", base(m=module(settings={}))),
    ("V01", "error", f"{M}.env.A", base(m=module(env={"A": "x"}))),
    ("V01", "error", R, base(routes={"r": 5})),
    ("V01", "error", R, base(routes={"r": " "})),
    ("V01", "error", f"{R}.priority", base(routes={"r": {"route": UP, "priority": 10}})),
    ("V01", "error", f"{HUB}.storeAndForwardConfiguration", base(hub={"storeAndForwardConfiguration": None})),
    ("V01", "warning", f"{AGENT}.modues", base(agent={"modues": {}})),
    ("V01", "warning", f"{R}.timeToLive", base(routes={"r": {"route": UP, "timeToLive": 5}})),
    ("V01", "warning", "modulesContent.mm.properties.desired", base(twins={"mm": {}}, m=module())),
    ("V02", "error", R, base(hub={"schemaVersion": "1.0"}, routes={"r": {"route": UP}})),
    ("V02", "error", f"{M}.startupOrder", base(agent={"schemaVersion": "1.0"}, m=module(startupOrder=1))),
    ("V03", "error", OPTIONS, base(m=module(settings={"image": "a:1", "createOptions": {}}))),
    ("V03", "error", OPTIONS, base(m=module(settings={"image": "a:1", "createOptions": "{"}))),
    ("V03", "error", OPTIONS, base(m=module(settings=options(Hostname="x" * 600)))),
    (
        "V03",
        "error",
        f"{M}.settings.createOptions02",
        base(m=module(settings={"image": "a:1", "createOptions": "{", "createOptions02": "}"})),
    ),
    (
        "V03",
        "warning",
        OPTIONS,
        base(
            m=module(
                settings={"image": "a:1", "createOptions": "{"}
                | {f"createOptions{n:02}": " " for n in range(1, 8)}
                | {"createOptions08": "}"}
            )
        ),
    ),
    (
        "V04",
        "error",
        f"{AGENT}.modules.n.settings.createOptions.HostConfig.PortBindings.80/tcp[0]",
        base(
            m=module(settings=options(HostConfig=ports("8080"))), n=module(settings=options(HostConfig=ports("8080")))
        ),
    ),
    ("V05", "error", f"{OPTIONS}.Env", base(m=module(settings=options(Env={"A": "1"})))),
    ("V05", "error", f"{OPTIONS}.ExposedPorts.80/tcp", base(m=module(settings=options(ExposedPorts={"80/tcp": []})))),
    (
        "V05",
        "error",
        f"{OPTIONS}.HostConfig.PortBindings.80/tcp[0].HostPort",
        base(m=module(settings=options(HostConfig={"PortBindings": {"80/tcp": [{"HostPort": 80}]}}))),
    ),
    (
        "V05",
        "error",
        f"{OPTIONS}.HostConfig.DeviceRequests[0].Capabilities",
        base(m=module(settings=options(HostConfig={"DeviceRequests": [{"Capabilities": ["gpu"]}]}))),
    ),
    ("V05", "error", f"{OPTIONS}.HostConfig.Memory", base(m=module(settings=options(HostConfig={"Memory": "512m"})))),
    (
        "V06",
        "warning",
        f"{OPTIONS}.HostConfig.NetworkMode",
        base(m=module(settings=options(HostConfig={"NetworkMode": "host"}))),
    ),
    (
        "V06",
        "warning",
        f"{OPTIONS}.HostConfig.PortBindings",
        base(m=module(settings=options(HostConfig={"NetworkMode": "host", **ports("80")}))),
    ),
    (
        "V07",
        "warning",
        f"{OPTIONS}.HostConfig.RestartPolicy",
        base(m=module(settings=options(HostConfig={"RestartPolicy": {"Name": "always"}}))),
    ),
    ("V08", "error", f"{AGENT}.modules.m m", base(**{"m m": module()})),
    ("V08", "error", f"{HUB}.routes.a.b", base(routes={"a.b": UP})),
    ("V08", "error", f"{M}.env", base(m=module(env={"A B": {"value": 1}}))),
    ("V08", "error", f"{AGENT}.modules", base(**{f"m{n}": module() for n in range(51)})),
    ("V08", "error", "modulesContent.m.properties.desired", base(twins={"m": {f"k{n}": "x" * 4000 for n in range(9)}})),
    ("V08", "error", "modulesContent.m.properties.desired.a", base(twins={"m": {"a": "x" * 4097}})),
    ("V08", "error", "modulesContent.m.properties.desired.a", base(twins={"m": {"a": 2**60}})),
    ("V08", "error", "modulesContent.m.properties.desired.a[0]", base(twins={"m": {"a": [None]}})),
    ("V09", "error", R, route("FROM messages INTO $upstream")),
    ("V09", "error", R, where("nosuch(a)")),
    ("V09", "error", R, route('FROM /messages/modules/m/* INTO BrokeredEndpoint("/modules/nn/inputs/i")')),
    ("V09", "warning", R, route('FROM /messages/modules/m/* INTO BrokeredEndpoint("/module/n/input/i")')),
    ("V09", "warning", R, route("FROM /messages/modules/mm/* INTO $upstream")),
    ("V09", "warning", R, route("FROM /messages/modules/m/* INTO $upstream WHERE a = 'x'")),
    ("V10", "warning", R, where("a!=b")),
    ("V10", "warning", R, where("a = TRUE")),
    ("V10", "error", R, where("NOT a = 'x'")),
    ("V10", "error", R, where("temperature > 30")),
    ("V11", "warning", R, where("$body.a = 1")),
    ("V11", "warning", R, where("$body.a > 1 AND $contentType = 'x'")),
    ("V11", "warning", R, where("is_null($body.a) AND $contentType = 'x'")),
    ("V12", "warning", R, route("FROM /messages/modules/*/outputs/o INTO $upstream")),
    ("V12", "warning", R, route('FROM /messages/* INTO BrokeredEndpoint("/modules/m/inputs/i")')),
    ("V12", "warning", R, route("FROM /* INTO $upstream")),
    (
        "V13",
        "info",
        f"{HUB}.storeAndForwardConfiguration.timeToLiveSecs",
        base(hub={"storeAndForwardConfiguration": {"timeToLiveSecs": 60}}),
    ),
    (
        "V13",
        "info",
        f"{HUB}.storeAndForwardConfiguration.timeToLiveSecs",
        base(hub={"storeAndForwardConfiguration": {"timeToLiveSecs": -1}}),
    ),
    ("V14", "error", "modulesContent", {"modulesContent": {"m": {"properties.desired.a": 1}}}),
    ("V14", "error", f"{AGENT}.runtime", layer(agent={"properties.desired.runtime": {}})),
    ("V14", "error", HUB, layer(hub={"properties.desired": {"routes": {}}})),
    ("V14", "warning", "modulesContent.m.properties.desired", layer(m={"properties.desired": {"a": 1}})),
    ("V14", "warning", "modulesContent.m.properties.desired.a.b", layer(m={"properties.desired.a.b": 1})),
    ("V15", "warning", f"{M}.settings.image", base(m=module(settings={"image": "registry:5000/m"}))),
    ("V15", "warning", f"{M}.settings.image", base(m=module(settings={"image": "m:latest"}))),
    ("V15", "warning", f"{M}.settings.image", base(m=module(settings={"image": "$upstream/m:1"}))),
    ("V16", "error", f"{M}.env.A.value", base(m=module(env={"A": {"value": "x${B}y"}}))),
    ("V16", "error", f"{OPTIONS}.Env[0]", base(m=module(settings=options(Env=["A=$B"])))),
    ("V16", "warning", f"{OPTIONS}.Cmd[0]", base(m=module(settings=options(Cmd=["echo $HOME"])))),
    ("V17", "info", f"{M}.restartPolicy", base(m=module(restartPolicy="on-unhealthy"))),
]

GOOD: list[tuple[str, Any]] = [
    ("V01", base(m=module(env={"A": {"value": 1}}, version="1", imagePullPolicy="never"))),
    ("V01", {"content": base()}),
    ("V01", layer(agent={"properties.desired.modules.m": module()})),
    ("V02", base(routes={"r": {"route": UP, "priority": 1}}, m=module(startupOrder=1))),
    ("V03", base(m=module(settings={"image": "a:1", "createOptions": '{"Cmd":', "createOptions01": "[]}"}))),
    (
        "V04",
        base(
            m=module(settings=options(HostConfig=ports("8080", address="127.0.0.1"))),
            n=module(settings=options(HostConfig=ports("8080", address="127.0.0.2"))),
            o=module(settings=options(HostConfig=ports("8080", protocol="udp"))),
            p=module(settings=options(HostConfig=ports("8080")), status="stopped"),
            q=module(settings=options(HostConfig=ports(""))),
        ),
    ),
    (
        "V05",
        base(
            m=module(
                settings=options(
                    Env=["A=1"],
                    ExposedPorts={"80/tcp": {}, "53/udp": {}},
                    HostConfig={
                        **ports("8000-8010"),
                        "DeviceRequests": [{"Capabilities": [["gpu"]]}],
                        "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}],
                        "Memory": 1,
                    },
                )
            )
        ),
    ),
    (
        "V06",
        base(
            m=module(
                settings=options(HostConfig={"NetworkMode": "host"}, NetworkingConfig={"EndpointsConfig": {"host": {}}})
            )
        ),
    ),
    ("V07", base(m=module(settings=options(HostConfig={"RestartPolicy": {"Name": ""}})))),
    ("V08", base(routes={"a-b": UP}, twins={"m": {"a": {"b": [1, 2]}, "t": "x" * 4096}}, m=module())),
    ("V09", route('FROM /messages/modules/M/outputs/o INTO BrokeredEndpoint("modules/n/inputs/i")')),
    ("V09", layer(hub={"properties.desired.routes.r": "FROM /messages/modules/below/* INTO $upstream"})),
    ("V10", where("a != b AND as_number(t) > 30 AND NOT (a = 'x') AND flag = 'TRUE'")),
    ("V11", where("$contentType = 'application/json' AND is_number($body.a) AND $body.a > 1 AND $body.b = null")),
    ("V12", route('FROM /messages/modules/m/outputs/* INTO BrokeredEndpoint("/modules/n/inputs/i")')),
    ("V13", base(routes={"r": {"route": UP, "timeToLiveSecs": 0}})),
    ("V14", layer(agent={"properties.desired.modules.m": module()}, m={"properties.desired": {"a": 1}})),
    ("V14", layer(m={"properties.desired.part": {"a": 1}})),
    ("V15", base(m=module(settings={"image": "$upstream:443/m:1"}), n=module(settings={"image": "r/m@sha256:00"}))),
    ("V16", base(m=module(env={"A": {"value": "pa$word and $5"}}), routes={"r": UP})),
    ("V17", base(m=module(restartPolicy="on-failure"))),
]


def found(rule: str, document: Any) -> list[Finding]:
    return [finding for finding in check_manifest(document) if finding.rule == rule]


@pytest.mark.parametrize(("rule", "severity", "path", "document"), BAD)
def test_a_bad_sample_is_found(rule: str, severity: str, path: str, document: Any) -> None:
    places = [(finding.severity.value, finding.path) for finding in found(rule, document)]
    assert (severity, path) in places


@pytest.mark.parametrize(("rule", "document"), GOOD)
def test_a_good_sample_passes(rule: str, document: Any) -> None:
    assert found(rule, document) == []


def test_every_rule_has_its_samples() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == [f"V{n:02}" for n in range(1, 18)]
    assert {rule for rule, *_ in BAD} == {rule for rule, _ in GOOD} == set(ids)


@pytest.mark.parametrize("document", [row[3] for row in BAD])
def test_every_finding_says_what_and_what_to_do(document: Any) -> None:
    for finding in check_manifest(document):
        assert finding.path
        assert finding.message
        assert finding.fix
        assert "\n" not in str(finding)


def test_every_mistake_is_told_at_once() -> None:
    broken = base(
        routes={"r": "FROM nowhere", "s": UP + " x"},
        agent={"schemaVersion": "2.0"},
        m=module(restartPolicy="x", settings={"image": "m:latest", "createOptions": "["}),
        n=5,
    )
    assert {finding.rule for finding in check_manifest(broken)} == {"V01", "V03", "V09", "V15"}
    assert len([finding for finding in check_manifest(broken) if finding.rule == "V01"]) == 3


def test_inputs_and_outputs_are_checked_where_they_are_known() -> None:
    document = route('FROM /messages/modules/m/outputs/o INTO BrokeredEndpoint("/modules/n/inputs/telemtry")')
    assert check_manifest(document) == []
    findings = check_manifest(document, inputs={"n": ["telemetry"]}, outputs={"m": []})
    assert [finding.message for finding in findings] == ["n has no input telemtry", "m has no output o"]
    assert findings[0].fix == "It has: telemetry"


def test_modules_of_other_deployments_count_where_they_are_named() -> None:
    document = base(routes={"r": 'FROM /messages/modules/m/* INTO BrokeredEndpoint("/modules/x/inputs/i")'}, m=module())
    assert [finding.rule for finding in check_manifest(document)] == ["V09"]
    assert check_manifest(document, elsewhere=["x"]) == []
    assert check_manifest(document, elsewhere=None) == []


def test_a_misspelt_module_is_recognized() -> None:
    (finding,) = check_manifest(
        base(
            routes={"r": 'FROM /messages/modules/m/* INTO BrokeredEndpoint("/modules/scoerr/inputs/i")'},
            m=module(),
            scorer=module(),
        )
    )
    assert finding.fix == "Did you mean scorer?"


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        (("80", ""), ("80", "127.0.0.1"), True),
        (("80", "0.0.0.0"), ("80", "127.0.0.1"), True),
        (("80", "0.0.0.0"), ("80", "::1"), False),
        (("80", "::"), ("80", "::1"), True),
        (("80-90", ""), ("85", ""), True),
        (("80-84", ""), ("85", ""), False),
    ],
)
def test_ports_collide_by_address_and_range(first: tuple[str, str], second: tuple[str, str], collide: bool) -> None:
    document = base(
        m=module(settings=options(HostConfig=ports(first[0], address=first[1]))),
        n=module(settings=options(HostConfig=ports(second[0], address=second[1]))),
    )
    assert bool(found("V04", document)) is collide


def test_a_module_on_the_hosts_network_binds_no_port() -> None:
    host = {"NetworkMode": "host", **ports("80")}
    document = base(m=module(settings=options(HostConfig=host)), n=module(settings=options(HostConfig=ports("80"))))
    assert found("V04", document) == []
