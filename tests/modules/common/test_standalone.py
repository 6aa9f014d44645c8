"""A module without a hub: messages as JSON lines."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest

from device.app import App
from device.settings import ReportingSettings
from iot_core.errors import InputError
from iot_core.message import Message
from modules.common.standalone import StandaloneClient


async def run(*lines: str, twin: Path | None = None) -> list[Any]:
    """What a module that sends on everything writes, once all lines are taken."""
    sink, stop = io.StringIO(), asyncio.Event()
    app = App(StandaloneClient(twin=twin, source=[*lines, '{"method": "stop"}'], sink=sink), ReportingSettings)

    @app.input("in")
    async def take(message: Message) -> None:
        await app.send(message, output="out")

    @app.method("interval")
    async def interval() -> float:
        return app.settings.reporting_interval

    @app.method("stop")
    async def finish() -> None:
        stop.set()

    await app.run(stop)
    return [json.loads(line) for line in sink.getvalue().splitlines()][:-1]


async def test_a_line_is_a_message_and_a_message_is_a_line() -> None:
    [line] = await run('{"input": "in", "body": {"t": 1}, "properties": {"site": "x"}, "system": {"messageId": "7"}}')
    assert line == {
        "output": "out",
        "body": {"t": 1},
        "properties": {"site": "x"},
        "system": {"contentType": "application/json", "contentEncoding": "utf-8", "messageId": "7"},
    }


async def test_methods_are_called_with_the_settings_of_the_twin_file(tmp_path: Path) -> None:
    twin = tmp_path / "twin.json"
    twin.write_text('{"reportingInterval": 5}')
    assert await run('{"method": "interval"}', twin=twin) == [{"method": "interval", "status": 200, "payload": 5}]


async def test_lines_that_are_no_messages_are_passed_over() -> None:
    lines = (
        "",
        "not json",
        "[1]",
        '{"body": 1}',
        '{"input": "in", "properties": {"n": 1}}',
        '{"input": "in", "body": "text"}',
    )
    assert [line["body"] for line in await run(*lines)] == ["text"]


async def test_a_body_that_is_not_text_goes_out_in_base64() -> None:
    sink = io.StringIO()
    await StandaloneClient(source=[], sink=sink).send_to_output(Message(b"\xff\x00"), "out")
    assert json.loads(sink.getvalue())["body"] == {"base64": base64.b64encode(b"\xff\x00").decode()}


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_bad_twin_file_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "twin.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"^--twin {path}: "):
        StandaloneClient(twin=path)
