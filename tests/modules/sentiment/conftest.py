"""A container that does as it is told, and the sentiment module on a fake hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from device.fake_client import FakeHubClient
from iot_core.message import Message
from modules.common import delivery
from modules.sentiment.module import create_app

V2 = "/text/analytics/v2.0/sentiment"
V30, V31 = "/text/analytics/v3.0/sentiment", "/text/analytics/v3.1/sentiment"
LANGUAGE = "/language/:analyze-text"


class ScriptedContainer:
    """Serves `paths` at `endpoint`: 0.9 for texts with "good", 0.1 with "bad", 0.5 else; "forbidden" is an error.

    `answers` are given first to requests with documents; `batches` are those requests. `held` texts wait for `release`.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.paths: tuple[str, ...] = (V2,)
        self.api_versions = ("2022-05-01",)
        self.answers: list[web.Response] = []
        self.batches: list[list[dict[str, str]]] = []
        self.asked: list[str] = []
        self.held = ""
        self.release = asyncio.Event()
        self.app = web.Application()
        self.app.add_routes([web.post("/{path:.*}", self._post), web.get("/ready", self._ready)])

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(status=503 if self.answers else 200)

    async def _post(self, request: web.Request) -> web.Response:
        if request.path not in self.paths:
            return web.Response(status=404)
        if request.path == LANGUAGE and request.query.get("api-version") not in self.api_versions:
            error = {"code": "InvalidRequest", "innererror": {"code": "InvalidApiVersionParameter", "message": "no"}}
            return web.json_response({"error": error}, status=400)
        body = await request.json()
        documents = body["analysisInput"]["documents"] if request.path == LANGUAGE else body["documents"]
        if not documents:
            self.asked.append(request.path)
            return web.json_response({"error": {"code": "InvalidRequest", "message": "no documents"}}, status=400)
        self.batches.append(documents)
        if self.answers:
            return self.answers.pop(0)
        if self.held and any(self.held in document["text"] for document in documents):
            await self.release.wait()
        answer = self._v2(documents) if request.path == V2 else self._v3(documents)
        return web.json_response({"kind": "x", "results": answer} if request.path == LANGUAGE else answer)

    @staticmethod
    def _of(text: str) -> float:
        return 0.9 if "good" in text else 0.1 if "bad" in text else 0.5

    def _v2(self, documents: list[dict[str, str]]) -> dict[str, Any]:
        good = [{"id": d["id"], "score": self._of(d["text"])} for d in documents if d["text"] != "forbidden"]
        bad = [{"id": d["id"], "message": "too rude"} for d in documents if d["text"] == "forbidden"]
        return {"documents": good, "errors": bad}

    def _v3(self, documents: list[dict[str, str]]) -> dict[str, Any]:
        error = {"code": "InvalidArgument", "innererror": {"code": "InvalidDocument", "message": "too rude"}}
        return {
            "documents": [self._v3_document(d) for d in documents if d["text"] != "forbidden"],
            "errors": [{"id": d["id"], "error": error} for d in documents if d["text"] == "forbidden"],
            "modelVersion": "1",
        }

    def _v3_document(self, document: dict[str, str]) -> dict[str, Any]:
        score = self._of(document["text"])
        label = {0.9: "positive", 0.1: "negative", 0.5: "mixed"}[score]
        scores = {"positive": score - 0.05, "neutral": 0.1, "negative": 0.95 - score}
        sentence = {"sentiment": label, "confidenceScores": scores, "offset": 0, "length": len(document["text"])}
        return {"id": document["id"], "sentiment": label, "confidenceScores": scores, "sentences": [sentence]}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.001)


@pytest.fixture
async def container() -> AsyncIterator[ScriptedContainer]:
    made = ScriptedContainer()
    async with TestServer(made.app) as server:
        made.endpoint = str(server.make_url("")).rstrip("/")
        yield made
        made.release.set()


class Running:
    """The module at work on `client`."""

    def __init__(self, client: FakeHubClient) -> None:
        self.client = client

    async def say(self, content: Any, **properties: str) -> None:
        """A message to the input; returns when it would be acknowledged."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        await self.client.deliver("texts", Message(body, {"shop": "1", **properties}, {"messageId": "m1"}))

    async def sent(self, count: int) -> list[tuple[str | None, dict[str, Any], dict[str, Any]]]:
        """(output, body, properties) of what was sent, once there are so many."""
        await self.client.until(lambda: len(self.client.sent) >= count)
        return [(output, json.loads(message.body), message.properties) for output, message in self.client.sent]


Run = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def module(container: ScriptedContainer, tmp_path: Path) -> Run:
    """`async with module(setting=value): …`; every run has the same folder on disk."""

    @asynccontextmanager
    async def running(*, room_s: float = 20.0, **desired: Any) -> AsyncIterator[Running]:
        twin = {"endpoint": container.endpoint, "reportingInterval": 0.2, "breakerPause": 0.05, **desired}
        client, stop = FakeHubClient(twin), asyncio.Event()
        async with create_app(client, tmp_path / "spool", room_s=room_s) as app:
            task = asyncio.create_task(app.run(stop))
            await app.ready.wait()
            yield Running(client)
            stop.set()
            await task

    return running
