"""Azure ML entry scripts in processes of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modules.scorer.specification import ModelSpec, Task
from tests.modules.scorer.serving_models import Served, serving_models

SCRIPT = """
import json, os, sys, time

def init():
    global base
    base = int(open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "base.txt")).read())
    print("init is done")

def run(raw_data, request_headers):
    print("a line of the script", flush=True)
    data = json.loads(raw_data)["data"]
    if data == "wait":
        time.sleep(60)
    if data == "die":
        os._exit(7)
    if data == "pid":
        return os.getpid()
    if data == "none":
        return None
    if data == "set":
        return {1}
    if data == "headers":
        return request_headers["x-mine"]
    if data == "key":
        return os.environ.get("SCORER_KEY")
    return {"sum": base + sum(data)}
"""
SLOW = """
import pathlib, time

def init():
    pass

def run(data):
    pathlib.Path({!r}).touch()
    time.sleep(0.3)
    return 1
"""
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."


@asynccontextmanager
async def script(folder: Path, text: str = SCRIPT, **spec: object) -> AsyncIterator[Served]:
    (folder / "score.py").write_text(text)
    (folder / "base.txt").write_text("100")
    model = ModelSpec.model_validate({"source": str(folder / "score.py"), "task": Task.SCRIPT, **spec})
    async with serving_models({"script": model}) as served:
        yield served


async def test_init_is_called_once_and_run_gives_the_answer(tmp_path: Path) -> None:
    async with script(tmp_path) as scorer:
        for data, total in (([1, 2], 103), ([5], 105)):
            answer = await scorer.post("/score", {"data": data})
            assert (answer.status, answer.json) == (200, {"sum": total})
            assert float(answer.headers["x-ms-run-fn-exec-ms"]) >= 0


async def test_an_exception_is_a_500_without_its_text(tmp_path: Path) -> None:
    async with script(tmp_path) as scorer:
        answer = await scorer.post("/score", {"nothing": 1})
        assert (answer.status, answer.json["message"]) == (500, FAILED)
        assert answer.headers["x-ms-run-function-failed"] == "True"
        assert (await scorer.post("/score", {"data": [1]})).json == {"sum": 101}


async def test_nothing_is_an_empty_object_and_what_is_no_json_an_error(tmp_path: Path) -> None:
    async with script(tmp_path) as scorer:
        nothing = await scorer.post("/score", {"data": "none"})
        assert (nothing.body, nothing.headers["x-ms-run-function-failed"]) == (b"{}", "False")
        other = await scorer.post("/score", {"data": "set"})
        assert (other.status, "An unexpected internal error" in str(other.json["message"])) == (500, True)


async def test_what_is_no_text_is_a_400(tmp_path: Path) -> None:
    async with script(tmp_path) as scorer:
        answer = await scorer.post("/score", b"\xff")
        assert (answer.status, "Input cannot be decoded as UTF-8" in str(answer.json["message"])) == (400, True)


async def test_too_slow_a_run_is_ended_and_others_are_answered(tmp_path: Path) -> None:
    async with script(tmp_path, processes=2, timeout=0.3) as scorer:
        slow, quick = await asyncio.gather(
            scorer.post("/score", {"data": "wait"}), scorer.post("/score", {"data": [1]})
        )
        assert (slow.status, slow.json["message"]) == (500, "Scoring timeout after 300 ms")
        assert quick.json == {"sum": 101}


async def test_a_script_that_dies_is_started_again(tmp_path: Path) -> None:
    async with script(tmp_path) as scorer:
        assert (await scorer.post("/score", {"data": "die"})).status == 500
        assert (await scorer.post("/score", {"data": [2]})).json == {"sum": 102}


async def test_it_runs_elsewhere_with_the_headers_and_without_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORER_KEY", "secret")
    async with script(tmp_path) as scorer:
        assert (await scorer.post("/score", {"data": "pid"})).body != str(os.getpid()).encode()
        assert (await scorer.post("/score", {"data": "headers"}, {"X-Mine": "yes"})).body == b'"yes"'
        assert (await scorer.post("/score", {"data": "key"})).body == b"{}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def run(data):\n    return 1\n", "has no function init()"),
        ("def init():\n    raise ValueError('no weights')\ndef run(data):\n    return 1\n", "ValueError: no weights"),
        ("def init():\n    pass\ndef run():\n    return 1\n", "run() takes no parameter for its data"),
        ("def init():\n    pass\ndef run(*data):\n    return 1\n", "run() must not take"),
        ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("def init(:\n", "SyntaxError"),
    ],
)
async def test_a_script_that_cannot_be_used_says_why(tmp_path: Path, text: str, reason: str) -> None:
    async with script(tmp_path, text) as scorer:
        status = scorer.catalogue.statuses()["script"]
        assert (status["status"], reason in status["reason"]) == ("failed", True)
        assert (await scorer.post("/score", {"data": 1})).status == 503


async def test_a_script_has_no_tensors_to_describe(tmp_path: Path) -> None:
    async with script(tmp_path) as scorer:
        answer = await scorer.get("/v2/models/script")
        assert (answer.status, "POST /score/script" in str(answer.json["error"])) == (400, True)


async def test_a_switch_waits_for_the_calls_under_way(tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    async with script(tmp_path, SLOW.format(str(mark))) as scorer:
        call = asyncio.create_task(scorer.post("/score", {"data": 1}))
        while not mark.exists():
            await asyncio.sleep(0.01)
        await scorer.catalogue.apply({})
        assert (await call).body == b"1"
        assert (await scorer.post("/score", {"data": 1})).status == 404
