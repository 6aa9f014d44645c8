from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from device.fake_client import FakeHubClient
from device.measurements import CITIES, temperatures
from iot_core.errors import InputError
from iot_core.message import Message
from modules.common.http11 import http_serving
from modules.common.monitoring import Health
from modules.scorer.module import Scorer, ScorerApp
from modules.scorer.options import Options, parse_options
from tests.modules.scorer.onnx_models import linear, picture_means, save, sha256

HOST = "127.91.3.7"
HISTORY = [reading.celsius for reading in temperatures(CITIES[0])][:400]
NORMAL = HISTORY[-1]


def measurement(content: Any, device: str = "d1", **properties: str) -> Message:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Message(body, dict(properties), {"connectionDeviceId": device, "messageId": "m1"})


def options_of(folder: Path, *arguments: str, **environment: str) -> Options:
    return parse_options(["--data", str(folder), "--port", "0", *arguments], environment)


@dataclass(kw_only=True)
class Running:
    client: FakeHubClient
    scorer: Scorer
    health: Health
    session: aiohttp.ClientSession

    async def score(self, path: str, data: object, **headers: str) -> tuple[int, Any]:
        async with self.session.post(path, json={"data": data}, headers=headers) as response:
            return response.status, await response.json()

    def model(self, name: str) -> dict[str, Any]:
        return dict(self.client.reported.get("models", {}).get(name, {}))

    def acknowledged(self) -> tuple[int, str]:
        models = self.client.reported.get("models", {})
        return models.get("ac", 0), models.get("ad", "")


@asynccontextmanager
async def running(folder: Path, *arguments: str, **desired: Any) -> AsyncIterator[Running]:
    client, stop, health = FakeHubClient({"reportingInterval": 0.2, **desired}), asyncio.Event(), Health()
    scorer = Scorer(options_of(folder, *arguments), CollectorRegistry(), health)
    app = ScorerApp(client, scorer)
    await scorer.use(scorer.settings)
    task = asyncio.create_task(app.run(stop))
    await app.ready.wait()
    try:
        async with (
            http_serving(scorer.api, HOST, 0, remedy="") as port,
            aiohttp.ClientSession(f"http://{HOST}:{port}") as session,
        ):
            yield Running(client=client, scorer=scorer, health=health, session=session)
    finally:
        stop.set()
        await task
        await scorer.close()


def outputs(client: FakeHubClient) -> list[tuple[str | None, dict[str, Any]]]:
    return [(output, json.loads(message.body)) for output, message in client.sent]


async def test_history_fills_the_window_and_a_fault_goes_to_both_outputs(tmp_path: Path) -> None:
    async with running(tmp_path) as at:
        await at.client.deliver("telemetry", measurement({"temperature": HISTORY}, phase="history"))
        await at.client.deliver("telemetry", measurement({"temperature": NORMAL, "city": "x"}, site="B1"))
        await at.client.deliver("telemetry", measurement({"temperature": NORMAL + 15}))
        contents = [content for _, content in outputs(at.client)]
        assert [name for name, _ in outputs(at.client)] == ["scores", "scores", "anomalies"]
        assert contents[0] | {"score": 0} == {
            "device": "d1", "temperature": NORMAL, "city": "x", "value": NORMAL, "score": 0, "anomaly": False,
        }  # fmt: skip
        assert contents[1] == contents[2]
        assert contents[1]["anomaly"] is True


async def test_settings_choose_field_and_threshold(tmp_path: Path) -> None:
    async with running(tmp_path, field="engine.oil", threshold=0.001) as at:
        await at.client.deliver("telemetry", measurement({"engine": {"oil": HISTORY}}, phase="history"))
        await at.client.deliver("telemetry", measurement({"engine": {"oil": NORMAL + 3}}))
        assert [name for name, _ in outputs(at.client)] == ["scores", "anomalies"]


@pytest.mark.parametrize("body", [b"\x00", b"[1]", b'{"humidity": 3}', b'{"temperature": "hot"}', b""])
async def test_an_unreadable_message_is_reported_and_does_no_harm(tmp_path: Path, body: bytes) -> None:
    async with running(tmp_path) as at:
        await at.client.deliver("telemetry", measurement(body))
        await at.client.deliver("telemetry", measurement({"temperature": 1}))
        await at.client.until(lambda: at.client.reported.get("counts", {}).get("errors") == 1)
        assert at.client.reported["lastError"]
        assert [name for name, _ in outputs(at.client)] == ["scores"]


async def test_what_happened_is_reported(tmp_path: Path) -> None:
    async with running(tmp_path) as at:
        await at.client.deliver("telemetry", measurement({"temperature": HISTORY}, phase="history"))
        await at.client.deliver("telemetry", measurement({"temperature": NORMAL + 15}))
        await at.client.until(lambda: "lastAnomaly" in at.client.reported)
        assert at.client.reported["lastAnomaly"]["device"] == "d1"
        assert at.client.reported["counts"] == {"messages": 2, "history": 400, "scored": 1, "anomalies": 1, "errors": 0}
        assert at.client.reported["threshold"]["ac"] == 203
        assert at.model("classifier")["status"] == "ready"


async def test_a_model_named_in_the_twin_is_loaded_served_and_reported(tmp_path: Path) -> None:
    twice = {"source": str(save(tmp_path, "twice", linear(2))), "sha256": sha256(linear(2)), "task": "regression"}
    async with running(tmp_path, models={"mine": twice}, defaultModel="mine") as at:
        await at.client.until(lambda: at.model("mine").get("status") == "ready")
        assert at.client.reported["models"]["value"] == {"mine": twice}
        assert at.acknowledged() == (200, "applied")
        assert at.model("mine") == {"status": "ready", "sha256": twice["sha256"], "provider": "CPUExecutionProvider"}
        assert (await at.score("/score", [[1, 2, 3]]))[1]["result"] == [[2, 4, 6]]


async def test_a_bad_model_is_refused_with_its_reason_and_the_old_one_answers(tmp_path: Path) -> None:
    good = {"source": str(save(tmp_path, "twice", linear(2)))}
    bad = {"source": good["source"], "sha256": "0" * 64}
    async with running(tmp_path, models={"mine": good}) as at:
        await at.client.until(lambda: at.model("mine").get("status") == "ready")
        await at.client.operator_sets(models={"mine": {"sha256": bad["sha256"]}})
        await at.client.until(lambda: at.model("mine").get("status") == "failed")
        code, reason = at.acknowledged()
        assert (code, "mine: " in reason, "has the sha256" in reason) == (400, True, True)
        assert at.client.reported["models"]["value"] == {"mine": good}
        assert "has the sha256" in at.model("mine")["reason"]
        assert (await at.score("/score/mine", [[1, 2, 3]]))[1]["result"] == [[2, 4, 6]]
        await at.client.operator_sets(models={"mine": {"sha256": None}})
        await at.client.until(lambda: at.model("mine") == {**at.model("mine"), "status": "ready"})
        assert "reason" not in at.model("mine")


async def test_a_specification_that_makes_no_sense_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, models={"mine": {"source": "relative.onnx"}}) as at:
        await at.client.until(lambda: at.acknowledged()[0] == 400)
        assert "absolute path" in at.acknowledged()[1]
        assert (await at.score("/score/mine", [[1, 2, 3]]))[0] == 404


@pytest.mark.parametrize("name", ["value", "ac", "9", "a.b", "$m", ""])
async def test_a_name_that_a_twin_or_a_path_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    async with running(tmp_path, models={name: {"source": "/m.onnx"}}) as at:
        await at.client.until(lambda: at.acknowledged()[0] == 400)


async def test_the_anomaly_model_of_telemetry_can_be_replaced(tmp_path: Path) -> None:
    spec = {"source": str(save(tmp_path, "window", picture_means()))}
    async with running(tmp_path, models={"anomaly": spec}) as at:
        await at.client.until(lambda: at.model("anomaly").get("status") == "failed")
        assert "its input must be [N, W]" in at.model("anomaly")["reason"]
        before = at.scorer.telemetry.detector.model
        content = (Path(__file__).parents[3] / "modules/scorer/models/anomaly.onnx").read_bytes()
        await at.client.operator_sets(models={"anomaly": {"source": str(save(tmp_path, "other", content))}})
        await at.client.until(lambda: at.model("anomaly").get("status") == "ready")
        assert at.scorer.telemetry.detector.model is not before


async def test_the_key_of_the_twin_guards_and_is_not_shown(tmp_path: Path) -> None:
    async with running(tmp_path, key="open sesame") as at:
        await at.client.until(lambda: "key" in at.client.reported)
        assert "sesame" not in json.dumps(at.client.reported)
        assert (await at.score("/score/anomaly", [[1]]))[0] == 401
        assert (await at.score("/score/anomaly", [[1]], Authorization="Bearer open sesame"))[0] == 400


async def test_ready_follows_the_default_model(tmp_path: Path) -> None:
    async with running(tmp_path, defaultModel="later") as at:
        await at.client.until(lambda: not at.health.is_ready)
        assert at.health.reasons() == ["model: later is not in service"]
        spec = {"source": str(save(tmp_path, "later", linear(2)))}
        await at.client.operator_sets(models={"later": spec})
        await at.client.until(lambda: at.health.is_ready)


async def test_an_entry_script_takes_the_place_of_the_model(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text("def init():\n    pass\ndef run(data):\n    return {'echo': data}\n")
    async with running(tmp_path, "--entry-script", str(script)) as at:
        assert await at.score("/score", 1) == (200, {"echo": '{"data": 1}'})


def test_arguments_win_over_the_environment(tmp_path: Path) -> None:
    options = options_of(tmp_path, SCORER_HOST="127.0.0.9", SCORER_PORT="7", SCORER_PROVIDERS="cuda, cpu")
    assert (options.host, options.port, options.providers) == ("127.0.0.9", 0, ("cuda", "cpu"))
    with pytest.raises(InputError, match="SCORER_PORT"):
        parse_options([], {"SCORER_PORT": "many"})
    with pytest.raises(InputError, match="SCORER_WORKERS"):
        options_of(tmp_path, SCORER_WORKERS="-1")


def test_the_key_comes_from_a_file_or_the_environment_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("open sesame\n")
    for options in (
        options_of(tmp_path, "--key-file", str(tmp_path / "key")),
        options_of(tmp_path, SCORER_KEY="open sesame"),
    ):
        assert options.key == "open sesame"
        assert "sesame" not in repr(options)
    with pytest.raises(InputError, match="SCORER_KEY_FILE"):
        options_of(tmp_path, "--key-file", str(tmp_path / "nothing"))
