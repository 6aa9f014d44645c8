from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from device.errors import ConnectionLostError
from device.fake_client import FakeHubClient
from iot_core.message import Message
from modules.common import delivery
from modules.sentiment.module import create_app, spool_folder
from modules.sentiment.settings import SentimentSettings


class FakeContainer:
    """Scores 0.9 for texts with "good", 0.1 with "bad", 0.5 else; `answers` are given first, `batches` are kept."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.batches: list[list[dict[str, str]]] = []
        self.app = web.Application()
        self.app.add_routes([web.post("/text/analytics/v2.0/sentiment", self._score), web.get("/ready", self._ready)])

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(status=503 if self.answers else 200)

    async def _score(self, request: web.Request) -> web.Response:
        documents = (await request.json())["documents"]
        self.batches.append(documents)
        if self.answers:
            return self.answers.pop(0)
        good = [{"id": d["id"], "score": self._of(d["text"])} for d in documents if d["text"] != "forbidden"]
        bad = [{"id": d["id"], "message": "too rude"} for d in documents if d["text"] == "forbidden"]
        return web.json_response({"documents": good, "errors": bad})

    @staticmethod
    def _of(text: str) -> float:
        return 0.9 if "good" in text else 0.1 if "bad" in text else 0.5


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.001)


@pytest.fixture
async def container() -> AsyncIterator[FakeContainer]:
    fake = FakeContainer()
    async with TestServer(fake.app) as server:
        fake.endpoint = str(server.make_url("")).rstrip("/")  # type: ignore[attr-defined]
        yield fake


@asynccontextmanager
async def sentiment_running(container: Any, folder: Path, **desired: Any) -> AsyncIterator[FakeHubClient]:
    twin = {"endpoint": container.endpoint, "reportingInterval": 0.2, **desired}
    client, stop = FakeHubClient(twin), asyncio.Event()
    async with create_app(client, folder) as app:
        running = asyncio.create_task(app.run(stop))
        await app.ready.wait()
        yield client
        stop.set()
        await running


async def say(client: FakeHubClient, content: Any) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    await client.deliver("texts", Message(body, {"shop": "1"}, {"messageId": "m1"}))


def sent(client: FakeHubClient) -> list[tuple[str | None, dict[str, Any], str | None]]:
    return [(output, json.loads(m.body), m.properties.get("sentiment")) for output, m in client.sent]


async def test_a_text_comes_out_scored_with_its_own_fields(container: FakeContainer, tmp_path: Path) -> None:
    async with sentiment_running(container, tmp_path) as client:
        await say(client, {"id": 7, "text": "good", "customer": "c"})
        await client.until(lambda: len(client.sent) == 1)
        content = {"id": 7, "text": "good", "customer": "c", "sentimentScore": 0.9, "sentiment": "positive"}
        assert sent(client) == [("scored", content, "positive")]
        assert client.sent[0][1].properties["shop"] == "1"
        assert client.sent[0][1].system["correlationId"] == "m1"


async def test_many_texts_are_scored_in_few_requests_and_keep_their_order(
    container: FakeContainer, tmp_path: Path
) -> None:
    async with sentiment_running(container, tmp_path) as client:
        await say(client, [{"text": f"{word} {number}"} for number in range(40) for word in ("good", "bad", "so")])
        await client.until(lambda: len(client.sent) == 120)
        assert [sentiment for _, _, sentiment in sent(client)] == ["positive", "negative", "neutral"] * 40
        assert [len(batch) for batch in container.batches] == [100, 20]


async def test_a_container_that_is_not_ready_is_waited_for(container: FakeContainer, tmp_path: Path) -> None:
    container.answers = [web.Response(status=503), web.Response(status=429), web.Response(status=500)]
    async with sentiment_running(container, tmp_path) as client:
        await say(client, {"text": "good"})
        await client.until(lambda: len(client.sent) == 1)
        assert len(container.batches) == 4


async def test_one_bad_document_does_not_take_the_others_with_it(container: FakeContainer, tmp_path: Path) -> None:
    async with sentiment_running(container, tmp_path) as client:
        await say(client, [{"text": "good"}, {"text": "forbidden"}, {"text": "bad"}])
        await client.until(lambda: len(client.sent) == 3)
        assert [output for output, _, _ in sent(client)] == ["scored", "errors", "scored"]
        assert sent(client)[1][1] == {"text": "forbidden", "error": "too rude"}


async def test_a_refused_request_is_tried_document_by_document(container: FakeContainer, tmp_path: Path) -> None:
    refusal = {"code": "BadRequest", "message": "no", "innerError": {"code": "InvalidDocument", "message": "no id"}}
    container.answers = [web.json_response(refusal, status=400), web.json_response(refusal, status=400)]
    async with sentiment_running(container, tmp_path) as client:
        await say(client, [{"text": "bad"}, {"text": "good"}])
        await client.until(lambda: len(client.sent) == 2)
        assert [output for output, _, _ in sent(client)] == ["errors", "scored"]
        assert "no id" in sent(client)[0][1]["error"]


@pytest.mark.parametrize("body", [b"\xff", b"[1]", b'{"id": 1}', b'{"text": null}'])
async def test_an_unreadable_message_becomes_an_error_report(
    container: FakeContainer, tmp_path: Path, body: bytes
) -> None:
    async with sentiment_running(container, tmp_path) as client:
        await say(client, body)
        await client.until(lambda: client.reported.get("counts", {}).get("errors") == 1)
        assert [(output, sentiment) for output, _, sentiment in sent(client)] == [("errors", "error")]
        assert client.reported["lastError"]


async def test_limits_and_language_follow_the_twin(container: FakeContainer, tmp_path: Path) -> None:
    async with sentiment_running(container, tmp_path, language="en-GB", positiveAbove=0.95) as client:
        await say(client, [{"text": "good"}, {"text": "good", "language": "de"}])
        await client.until(lambda: len(client.sent) == 2)
        assert [sentiment for _, _, sentiment in sent(client)] == ["neutral", "neutral"]
        assert [document["language"] for document in container.batches[0]] == ["en-GB", "de"]


async def test_a_lost_edge_hub_loses_no_text(container: FakeContainer, tmp_path: Path) -> None:
    async with sentiment_running(container, tmp_path, reportingInterval=3600) as client:
        client.failures = [ConnectionLostError("gone") for _ in range(10)]  # more than the reports at the start take
        await say(client, {"text": "good"})
        await client.until(lambda: len(client.sent) == 1)


async def test_texts_that_wait_at_a_stop_are_scored_after_the_next_start(
    container: FakeContainer, tmp_path: Path
) -> None:
    container.answers = [web.Response(status=503) for _ in range(100_000)]
    async with sentiment_running(container, tmp_path) as client:
        await say(client, [{"text": "good"}, {"text": "bad"}])
    assert client.sent == []
    container.answers = []
    async with sentiment_running(container, tmp_path) as client:
        await client.until(lambda: len(client.sent) == 2)
        assert [sentiment for _, _, sentiment in sent(client)] == ["positive", "negative"]


async def test_counts_and_readiness_are_reported(container: FakeContainer, tmp_path: Path) -> None:
    async with sentiment_running(container, tmp_path) as client:
        await say(client, [{"text": "good"}, {"text": "bad"}, {"text": "so"}])
        await client.until(lambda: client.reported.get("counts", {}).get("neutral") == 1)
        assert client.reported["containerReady"] is True
        assert client.reported["counts"] == {"messages": 1, "positive": 1, "neutral": 1, "negative": 1, "errors": 0}


def test_the_container_is_looked_for_on_the_edge_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTEDGE_GATEWAYHOSTNAME", "gateway")
    assert SentimentSettings().endpoint == "http://gateway:5000"


def test_two_modules_never_share_a_spool() -> None:
    one = {"IOTEDGE_DEVICEID": "e1", "IOTEDGE_MODULEID": "sentiment", "IOTEDGE_MODULEGENERATIONID": "1"}
    folders = {
        spool_folder(one),
        spool_folder({**one, "IOTEDGE_DEVICEID": "e2"}),
        spool_folder({"SENTIMENT_SPOOL": "/x"}),
    }
    assert len(folders) == 3
