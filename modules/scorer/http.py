"""The scorer's HTTP interface.

    GET  /        "Healthy", like a container that Azure Machine Learning builds
    GET  /models  the models, their checksums and the labels
    POST /score   application/json {"data": [[[[…]]]]} → {"result": [[logits]], "time": seconds}
                  image/jpeg or image/png → {"result": [{"label", "index", "probability"} x 5], "time": seconds}

Errors are {"error": text}: 400 what is wrong with the body and where, 413 too many bytes, 415 another content type, 503
busy (with Retry-After).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from iot_core.errors import InputError
from modules.scorer.classifier import Classifier, Scored
from modules.scorer.workers import BusyError, Workers

__all__ = ["create_http_app"]

MAX_BODY = 64 * 1024 * 1024
"""Bytes: MAX_BATCH tensors of 3 x 224 x 224 with short numbers."""
JSON_TYPES = ("application/json", "application/octet-stream")
"""aiohttp gives the second for a request without a content type."""
IMAGE_TYPES = ("image/jpeg", "image/png")


def create_http_app(
    classifier: Classifier, workers: Workers, information: Callable[[], dict[str, Any]]
) -> web.Application:
    """The application; `information` is what GET /models answers."""
    handlers = _Handlers(classifier, workers, information)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.get("/", handlers.health),
            web.get("/models", handlers.models),
            web.post("/score", handlers.score),
        ]
    )
    return app


class _Handlers:
    def __init__(self, classifier: Classifier, workers: Workers, information: Callable[[], dict[str, Any]]) -> None:
        self._classifier = classifier
        self._workers = workers
        self._information = information

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(text="Healthy")

    async def models(self, _request: web.Request) -> web.Response:
        return _json(self._information())

    async def score(self, request: web.Request) -> web.Response:
        work = self._work(request.content_type)
        body = await _body(request)
        scored = await self._workers.run(lambda: work(body))
        return _json({"result": scored.result, "time": scored.seconds})

    def _work(self, content_type: str) -> Callable[[bytes], Scored]:
        if content_type in IMAGE_TYPES:
            return self._classifier.classify
        if content_type in JSON_TYPES:
            return self._classifier.score
        raise web.HTTPUnsupportedMediaType(reason=f"Send application/json, image/jpeg or image/png, not {content_type}")


async def _body(request: web.Request) -> bytes:
    """The whole body, joined once: aiohttp's own `read` copies megabytes three times."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, size)
        chunks.append(chunk)
    return b"".join(chunks)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InputError as error:
        return _json({"error": str(error)}, status=400)
    except BusyError as error:
        return _json({"error": str(error)}, status=503, headers={"Retry-After": "1"})
    except web.HTTPRequestEntityTooLarge:
        return _json({"error": f"the body is too large: send at most {MAX_BODY} bytes"}, status=413)
    except web.HTTPException as error:
        return _json({"error": error.reason}, status=error.status)


def _json(content: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
