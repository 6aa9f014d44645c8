"""`edgeyard edge set-modules`: checked, shown, applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.hubs import TargetHub
from edgeyard.cli.main import run
from hub_tools.device_modules import preview_modules, read_device_modules
from hub_tools.manifests import CreateOptions, Deployment, Layer, Module
from hub_tools.rest import RestHubService
from iot_core.errors import HubError, InputError, ManifestError
from iot_core.identity import Identity

SECRET_KEY = "q8Zt3vXw1Lk9Pb7Rn5Jd2Hs6Gf4Yc0Ma"


def deployment(tmp_path: Path, *, interval: int = 5, modules: tuple[str, ...] = ("m",)) -> Path:
    made = [
        Module(
            name=name,
            image="acme/m:1",
            create_options=CreateOptions.of(memory="64m", env={"API_KEY": "${API_KEY}"}),
            desired={"interval": interval},
        )
        for name in modules
    ]
    file = tmp_path / "deployment.template.json"
    file.write_text(json.dumps(Deployment(name="b", modules=made).to_content()))
    (tmp_path / ".env").write_text(f"API_KEY={SECRET_KEY}\n")
    return file


async def test_a_device_gets_what_was_shown(service: RestHubService, tmp_path: Path) -> None:
    await service.create_device("set-1", edge=True)
    modules = read_device_modules(deployment(tmp_path))
    first = await preview_modules(service, "set-1", modules)
    assert [(change.name, change.fate) for change in first.difference.modules] == [
        ("edgeAgent", "added"), ("edgeHub", "added"), ("m", "added"),
    ]  # fmt: skip
    await service.apply_configuration_content("set-1", modules.content)
    assert not (await preview_modules(service, "set-1", modules)).difference
    twin = await service.get_twin(Identity("set-1", "m"))
    assert twin["properties"]["desired"]["interval"] == 5


async def test_only_what_differs_is_shown_and_no_secret(service: RestHubService, tmp_path: Path) -> None:
    await service.create_device("set-2", edge=True)
    await service.apply_configuration_content("set-2", read_device_modules(deployment(tmp_path)).content)
    changed = read_device_modules(deployment(tmp_path, interval=9, modules=("m", "n")))
    preview = await preview_modules(service, "set-2", changed)
    assert [(change.name, change.fate) for change in preview.difference.modules] == [("n", "added")]
    assert [(change.path, change.before, change.after) for change in preview.difference.twins] == [
        ("m.interval", 5, 9), ("n.interval", None, 9),
    ]  # fmt: skip
    assert SECRET_KEY not in json.dumps(preview.difference.to_json())


async def test_devices_that_take_no_modules_are_refused(service: RestHubService, tmp_path: Path) -> None:
    modules = read_device_modules(deployment(tmp_path))
    await service.create_device("plain-1")
    with pytest.raises(InputError, match="is not an edge device"):
        await preview_modules(service, "plain-1", modules)
    with pytest.raises(HubError, match="set-nobody"):
        await preview_modules(service, "set-nobody", modules)


def test_a_deployment_with_errors_is_refused_with_the_first(tmp_path: Path) -> None:
    file = tmp_path / "layer.json"
    file.write_text(json.dumps(Layer(name="l", settings={"m": {"a": 1}}).to_content()))
    with pytest.raises(ManifestError, match=r"V01 modulesContent\.\$edgeAgent: has no desired properties"):
        read_device_modules(file)
    file.write_text('{"modulesContent": {}}')
    with pytest.raises(ManifestError, match=r"layer\.json: V01 .*And 1 more: edgeyard validate"):
        read_device_modules(file)


def test_the_command_shows_applies_and_does_nothing_twice(
    hub: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["edge", "set-modules", "--device", "set-3", str(deployment(tmp_path)), "--home", str(hub.home)]
    assert run(["devices", "create", "set-3", "--edge", "--home", str(hub.home)]) == 0
    capfd.readouterr()
    assert run([*command, "--dry-run"]) == 0
    assert "+ module m added" in (shown := capfd.readouterr().out)
    assert "nothing was changed" in shown
    assert run([*command, "-o", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["applied"] is True
    assert run(command) == 0
    assert "nothing to change" in capfd.readouterr().out


def test_on_a_hub_that_is_not_local_the_command_asks(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["edge", "set-modules", "--device", "set-4", str(deployment(tmp_path)), "--home", str(hub.home)]
    assert run(["devices", "create", "set-4", "--edge", "--home", str(hub.home)]) == 0
    monkeypatch.setattr(TargetHub, "local", property(lambda target: False))
    assert run(command) == 2
    assert "give --yes" in capfd.readouterr().err
    assert run([*command, "--dry-run"]) == 0
    assert run([*command, "--yes"]) == 0
    assert "1 modules deployed: m" in capfd.readouterr().out
