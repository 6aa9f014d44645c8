"""What a device sees of a change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub_tools.manifests import CreateOptions, Module, secret
from hub_tools.stacks.difference import HIDDEN, ValueChange, difference

SENSOR = Module(name="sensor", image="acme/sensor:1", env={"LEVEL": "info"}, ports={80: 8080})


def desired(*modules: Module, routes: dict[str, Any] | None = None, **twins: Any) -> dict[str, Any]:
    agent = {"modules": {module.name: module.to_json() for module in modules}}
    return {"$edgeAgent": agent, "$edgeHub": {"routes": routes or {}}, **twins}


def test_nothing_changes_where_nothing_differs() -> None:
    assert not difference(desired(SENSOR), desired(SENSOR))


def test_modules_come_and_go() -> None:
    camera = Module(name="camera", image="acme/camera:2")
    changes = difference(desired(SENSOR), desired(camera)).modules
    assert [(change.name, change.fate) for change in changes] == [("sensor", "removed"), ("camera", "added")]


@pytest.mark.parametrize(
    ("changed", "fate", "path"),
    [
        (
            Module(name="sensor", image="acme/sensor:2", env=SENSOR.env, ports=SENSOR.ports),
            "restarted",
            "settings.image",
        ),
        (
            Module(name="sensor", image=SENSOR.image, env={"LEVEL": "debug"}, ports=SENSOR.ports),
            "restarted",
            "env.LEVEL.value",
        ),
        (
            Module(name="sensor", image=SENSOR.image, env=SENSOR.env, ports={80: 9090}),
            "restarted",
            "settings.createOptions.HostConfig.PortBindings.80/tcp",
        ),
        (
            Module(name="sensor", image=SENSOR.image, env=SENSOR.env, ports=SENSOR.ports, status="stopped"),
            "stopped",
            "status",
        ),
    ],
)
def test_a_changed_module_restarts_for_a_reason(changed: Module, fate: str, path: str) -> None:
    (change,) = difference(desired(SENSOR), desired(changed)).modules
    assert (change.fate, [reason.path for reason in change.reasons]) == (fate, [path])


def test_options_written_another_way_are_no_change() -> None:
    spaced = desired(SENSOR)
    settings = spaced["$edgeAgent"]["modules"]["sensor"]["settings"]
    settings["createOptions"] = json.dumps(json.loads(settings["createOptions"]), indent=1)
    assert not difference(desired(SENSOR), spaced)


def test_routes_and_twins_are_compared_by_name_and_path() -> None:
    found = difference(
        desired(routes={"a": "FROM /* INTO $upstream"}, sensor={"limits": {"high": 1, "low": 0}}),
        desired(routes={"b": "FROM /* INTO $upstream"}, sensor={"limits": {"high": 2, "low": 0}}, camera={"fps": 1}),
    )
    assert [change.path for change in found.routes] == ["a", "b"]
    assert found.twins == (
        ValueChange(path="sensor.limits.high", before=1, after=2),
        ValueChange(path="camera.fps", after=1),
    )


def test_true_is_another_value_than_one() -> None:
    assert difference(desired(sensor={"on": 1}), desired(sensor={"on": True})).twins


def options_of(key: str) -> Module:
    options = CreateOptions.of(env={"ApiKey": key, "Eula": "accept"})
    return Module(name="text", image="i:1", create_options=options)


def test_a_secret_is_compared_by_its_value_and_never_shown() -> None:
    before, after = desired(options_of("s3cret")), desired(options_of(secret("KEY")))
    assert not difference(before, after, {"KEY": "s3cret"}.get)
    (change,) = difference(before, after, {"KEY": "rotated"}.get).modules
    assert change.reasons == (
        ValueChange(path="settings.createOptions.Env.ApiKey", before=HIDDEN, after="{{secret:KEY}}"),
    )


def test_a_secret_without_a_value_is_like_any_that_fits() -> None:
    before = desired(text={"url": "https://host/?code=s3cret&x=1"})
    assert not difference(before, desired(text={"url": f"https://host/?code={secret('KEY')}&x=1"}))
    assert difference(before, desired(text={"url": f"https://other/?code={secret('KEY')}&x=1"}))


def test_what_is_named_like_a_secret_is_hidden_when_it_goes() -> None:
    found = difference(desired(options_of("s3cret"), hook={"functionKey": "abc"}), desired(options_of("x"), hook={}))
    assert "s3cret" not in str(found.to_json())
    assert "abc" not in str(found.to_json())
