"""The stand-in's HTTP interface: the paths of the sentiment container, and names for what is not built.

Bodies of / , /ready, /status and /swagger are our own; the real container documents their meaning, not their content.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

import orjson
from aiohttp import web

from modules.sentiment_container.documents import MAX_BODY, answer, read_batch
from modules.sentiment_container.errors import RequestError
from modules.sentiment_container.model import SentimentModel

__all__ = ["create_http_app"]

SENTIMENT_V2_0 = "/text/analytics/v2.0/sentiment"
NOT_BUILT = {
    "/text/analytics/v2.1/sentiment": "Text Analytics v2.1",
    "/text/analytics/v3.0/sentiment": "Text Analytics v3.0",
    "/text/analytics/v3.1/sentiment": "Text Analytics v3.1",
    "/language/:analyze-text": "the Language API",
}
HOME = """<!doctype html><title>Sentiment stand-in</title>
<p>A local stand-in for the sentiment container. See <a href="/swagger">/swagger</a>."""
TOO_LARGE = RequestError("InvalidRequestBodyFormat", f"The request is too large: at most {MAX_BODY} bytes.", status=413)


def create_http_app(model: SentimentModel, executor: Executor) -> web.Application:
    """The application; inference runs on `executor`."""
    service = _Service(model, executor)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.get("/", _home),
            web.get("/ready", service.ready),
            web.get("/status", _status),
            web.get("/swagger", _swagger),
            web.post(SENTIMENT_V2_0, service.sentiment),
            *(web.post(path, _refusal(name)) for path, name in NOT_BUILT.items()),
        ]
    )
    return app


class _Service:
    def __init__(self, model: SentimentModel, executor: Executor) -> None:
        self._model = model
        self._executor = executor

    async def sentiment(self, request: web.Request) -> web.Response:
        body = await request.read()
        return _json(await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, body))

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when the model answers, which it is asked to do."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._model.scores, ["ready?"])
        return _json({"service": "sentiment", "ready": True})

    def _answer(self, body: bytes) -> dict[str, Any]:
        batch = read_batch(body)
        return answer(batch, self._model.scores(batch.texts))


async def _home(_request: web.Request) -> web.Response:
    return web.Response(text=HOME, content_type="text/html")


async def _status(_request: web.Request) -> web.Response:
    return _json(
        {"service": "sentiment", "apiStatus": "Valid", "apiStatusMessage": "A key was given; nobody checks it here."}
    )


async def _swagger(_request: web.Request) -> web.Response:
    paths = {SENTIMENT_V2_0: {"post": {"summary": "Scores of documents, 0 (negative) to 1 (positive)"}}}
    return _json({"swagger": "2.0", "info": {"title": "Sentiment stand-in", "version": "v2.0"}, "paths": paths})


def _refusal(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def refuse(_request: web.Request) -> web.Response:
        message = f"{name} is not built in this stand-in: use POST {SENTIMENT_V2_0}"
        raise RequestError("NotImplemented", message, code="NotImplemented", status=501)

    return refuse


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _json(error.body(), status=error.status)
    except web.HTTPRequestEntityTooLarge:
        return _json(TOO_LARGE.body(), status=TOO_LARGE.status)


def _json(content: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
