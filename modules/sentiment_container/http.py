"""The stand-in's HTTP interface: the paths of the sentiment container.

Bodies of /, /ready, /status and /swagger are our own; the real container documents their meaning, not their content.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import orjson
from aiohttp import web

from modules.sentiment_container.analysis import analyse
from modules.sentiment_container.documents import MAX_BODY
from modules.sentiment_container.errors import RequestError
from modules.sentiment_container.metrics import ContainerMetrics
from modules.sentiment_container.model import SentimentModel
from modules.sentiment_container.page import home, try_page
from modules.sentiment_container.swagger import swagger
from modules.sentiment_container.versions import VERSIONS, Version

__all__ = ["create_http_app"]

HTTP_ROOM = 64 * 1024
"""Bytes above the limit that are still read, so that it is this program that says how large a request may be."""
TOO_LARGE = RequestError("InvalidRequestBodyFormat", f"The request is too large: at most {MAX_BODY} bytes.", status=413)
NOT_JSON = RequestError(
    "UnsupportedMediaType", "The body must be JSON: set Content-Type to application/json.", status=415
)
UNNAMED_TYPES = ("application/octet-stream",)
"""What a request without a Content-Type counts as; its body is looked at."""
JOBS = ("/language/analyze-text/jobs", "/text/analytics/v3.1/analyze")
"""Paths of work in the background, which the sentiment container does not have either."""


def create_http_app(
    model: SentimentModel,
    executor: Executor,
    *,
    versions: Sequence[Version] = VERSIONS,
    metrics: ContainerMetrics | None = None,
) -> web.Application:
    """The application; inference runs on `executor`. Of the API only `versions` are there, the others answer 404."""
    service = _Service(model, executor, metrics or ContainerMetrics())
    app = web.Application(client_max_size=MAX_BODY + HTTP_ROOM)
    pages = {"/": home(), "/swagger": try_page(versions), "/swagger/index.html": try_page(versions)}
    app.add_routes([web.get(path, _page(text)) for path, text in pages.items()])
    app.add_routes([web.get("/ready", service.ready), web.get("/status", _status)])
    for version in versions:
        app.router.add_post(version.path, service.sentiment(version))
        app.router.add_get(f"/swagger/{version.name}/swagger.json", _document(swagger(version)))
    app.add_routes([web.post(path, _jobs) for path in JOBS])
    return app


Handler = Callable[[web.Request], Awaitable[web.Response]]


class _Service:
    def __init__(self, model: SentimentModel, executor: Executor, metrics: ContainerMetrics) -> None:
        self._model = model
        self._executor = executor
        self._metrics = metrics

    def sentiment(self, version: Version) -> Handler:
        """The handler of one version's path."""

        async def handle(request: web.Request) -> web.Response:
            start = time.perf_counter()
            try:
                answer = await self._answer(version, request)
            except RequestError as error:
                answer = _json(version.refusal(error), status=error.status)
            self._metrics.answered(version.name, answer.status, time.perf_counter() - start)
            return answer

        return handle

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when the model answers, which it is asked to do."""
        await self._run(lambda: self._model.judge(["ready?"]))
        return _json({"service": "sentiment", "ready": "ready"})

    async def _answer(self, version: Version, request: web.Request) -> web.Response:
        if not _may_be_json(request.content_type):
            raise NOT_JSON
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise TOO_LARGE from None
        if len(body) > MAX_BODY:
            raise TOO_LARGE
        return _json(await self._run(lambda: self._judge(version, body, request.query)))

    def _judge(self, version: Version, body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
        batch, options = version.read(body, query)
        verdicts = analyse(self._model, [document.text for document in batch.documents])
        self._metrics.documents(len(batch.documents), len(batch.problems))
        return version.answer(batch, verdicts, options)

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _may_be_json(content_type: str) -> bool:
    return content_type.endswith(("/json", "+json")) or content_type in UNNAMED_TYPES


def _page(text: str) -> Handler:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    return page


def _document(content: dict[str, Any]) -> Handler:
    async def document(_request: web.Request) -> web.Response:
        return _json(content)

    return document


async def _status(_request: web.Request) -> web.Response:
    """Without the three start values the process would not be here, so the key is always taken."""
    return _json(
        {"service": "sentiment", "apiStatus": "Valid", "apiStatusMessage": "A key was given; nobody checks it here."}
    )


async def _jobs(request: web.Request) -> web.Response:
    error = RequestError("NotImplemented", f"{request.path} is not built in this stand-in.", code="NotImplemented")
    return _json(error.body_v3(), status=501)


def _json(content: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
