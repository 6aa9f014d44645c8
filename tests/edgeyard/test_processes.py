"""Children of the demo: what they inherit, how their failures are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeyard.demo.processes import Child, DemoError, clean_environment


def test_nothing_that_names_a_hub_or_a_proxy_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("IOTHUB_CONNECTION_STRING", "HTTPS_PROXY", "EdgeHubConnectionString", "IOTEDGE_DEVICEID"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("EDGEYARD_HOME", "/elsewhere")
    environment = clean_environment(tmp_path)
    assert "elsewhere" not in environment.values()
    assert environment["EDGEYARD_HOME"] == str(tmp_path)


async def start(tmp_path: Path, code: str) -> Child:
    (tmp_path / "child.py").write_text(code)
    return await Child.start("child", ["child"], home=tmp_path, folder=tmp_path)


async def test_a_child_is_ready_when_it_says_so_and_ends_when_asked(tmp_path: Path) -> None:
    child = await start(tmp_path, "import time\nprint('ready: here')\ntime.sleep(60)")
    await child.ready("ready", within_s=20)
    assert child.running
    await child.stop()
    assert not child.running


async def test_a_child_that_ends_at_once_gives_its_last_words(tmp_path: Path) -> None:
    child = await start(tmp_path, "raise SystemExit('error: port 8883 is taken')")
    with pytest.raises(DemoError, match="port 8883 is taken"):
        await child.ready("ready", within_s=20)


async def test_a_child_that_never_gets_ready_is_told_with_the_time(tmp_path: Path) -> None:
    child = await start(tmp_path, "import time\nprint('starting')\ntime.sleep(60)")
    with pytest.raises(DemoError, match="not ready after 0 s"):
        await child.ready("ready", within_s=0.3)
    await child.stop()
