"""The HTTP interface as an Application: routes, who may, and where the work is done.

GET  /                          "Healthy"
GET  /swagger.json[?version=3]  the description of this interface
GET  /models                    the models in service
POST /score, /score/{model}     JSON, a picture, raw float32; see README.md
GET  /v2 …, POST /v2/models/{model}/infer
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from iot_core.errors import EdgeyardError, InputError
from modules.common.http11 import Head, HttpError, Request, Response
from modules.scorer.api import kserve
from modules.scorer.api.access import Access
from modules.scorer.api.replies import error_reply, json_reply, request_ids
from modules.scorer.api.swagger import swagger
from modules.scorer.catalogue import Catalogue, NotServedError, Servable, UnknownModelError
from modules.scorer.metrics import ScorerMetrics
from modules.scorer.scoring import Scored, ScoringModel
from modules.scorer.script import ScriptModel
from modules.scorer.workers import BusyError, Workers

__all__ = ["MAX_BODY", "SHAPE_HEADER", "ScorerApi"]

MAX_BODY = 64 * 1024 * 1024
"""Bytes: tensor.MAX_NUMBERS in JSON with 17 digits each."""
INLINE = 64 * 1024  # bytes of a body up to which a tiny model is run on the event loop
SHAPE_HEADER = "x-tensor-shape"
IMAGE_TYPES = ("image/jpeg", "image/png")
RAW_TYPE = "application/octet-stream"
JSON_TYPES = ("", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded")
"""Azure ML's server does not look at the type; the last is what curl -d sends."""
RETRY = {"Retry-After": "1"}

Answer = Response | Awaitable[Response]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Route:
    """What a path means. `model` is "" where the path names none; `guarded` asks for the key."""

    methods: tuple[str, ...]
    work: str
    model: str = ""
    guarded: bool = False


FIXED = {
    "/": _Route(methods=("GET", "HEAD"), work="healthy"),
    "/swagger.json": _Route(methods=("GET",), work="swagger"),
    "/models": _Route(methods=("GET",), work="models"),
    "/score": _Route(methods=("POST", "OPTIONS"), work="score", guarded=True),
    "/v2": _Route(methods=("GET",), work="v2_server"),
    "/v2/health/live": _Route(methods=("GET",), work="v2_live"),
    "/v2/health/ready": _Route(methods=("GET",), work="v2_ready"),
}


class ScorerApi:
    """The Application of one scorer. `default_model` and `ready` are asked at each request that needs them."""

    def __init__(
        self,
        catalogue: Catalogue,
        workers: Workers,
        *,
        access: Access,
        metrics: ScorerMetrics,
        default_model: Callable[[], str],
        ready: Callable[[], list[str]] = list,
    ) -> None:
        """`ready` gives the reasons why the scorer is not ready."""
        self._catalogue = catalogue
        self._workers = workers
        self._access = access
        self._metrics = metrics
        self._default_model = default_model
        self._ready = ready
        self._works: Mapping[str, Callable[[Request, str], Answer]] = {
            "healthy": lambda request, model: Response(body=b"Healthy", content_type="text/plain; charset=utf-8"),
            "swagger": self._swagger,
            "models": self._models,
            "score": self._score,
            "v2_server": lambda request, model: json_reply(kserve.server_metadata()),
            "v2_live": lambda request, model: json_reply({"live": True}),
            "v2_ready": self._v2_ready,
            "v2_model": lambda request, model: json_reply(kserve.model_metadata(self._scoring(model))),
            "v2_model_ready": lambda request, model: json_reply({"name": self._scoring(model).name, "ready": True}),
            "v2_infer": self._infer,
        }

    # What the server calls

    def admit(self, head: Head) -> int:
        """Route, method and key are judged before the body is read."""
        route = _route(head.path)
        if head.method not in route.methods:
            raise HttpError(405, "Method not allowed", {"Allow": ", ".join(route.methods)})
        if route.guarded and head.method == "POST":
            self._access.check(head.headers)
        return MAX_BODY if "POST" in route.methods else 0

    def handle(self, request: Request) -> Answer:
        ids = request_ids(request.headers)
        route = _route(request.path)
        if request.method == "OPTIONS":
            return Response(headers={**ids, "Allow": ", ".join(route.methods)})
        start = time.perf_counter()
        try:
            answer = self._works[route.work](request, route.model or self._default_model())
        except EdgeyardError as error:
            answer = self._refused(error, request.path)
        if not isinstance(answer, Response):
            return self._later(answer, request, route, ids, start)
        return self._finished(answer, route, ids, start)

    def refused(self, error: HttpError, head: Head | None) -> Response:
        response = error_reply(error, "" if head is None else head.path)
        self._metrics.refused(error.status)
        if head is not None and error.status != 431:
            try:
                response.headers.update(request_ids(head.headers))
            except HttpError:
                return response
        return response

    # Parts

    async def _later(
        self, answer: Awaitable[Response], request: Request, route: _Route, ids: dict[str, str], start: float
    ) -> Response:
        try:
            response = await answer
        except EdgeyardError as error:
            response = self._refused(error, request.path)
        return self._finished(response, route, ids, start)

    def _finished(self, response: Response, route: _Route, ids: dict[str, str], start: float) -> Response:
        response.headers.update(ids)
        if route.guarded:
            name = route.model or self._default_model()
            self._metrics.answered(name, response.status, time.perf_counter() - start)
        return response

    def _refused(self, error: EdgeyardError, path: str) -> Response:
        """Errors of the scorer as HTTP; what is none of these goes up and becomes a 500."""
        if isinstance(error, HttpError):
            return error_reply(error, path)
        if isinstance(error, InputError):
            return error_reply(HttpError(400, str(error)), path)
        if isinstance(error, UnknownModelError):
            return error_reply(HttpError(404, str(error)), path)
        if isinstance(error, BusyError | NotServedError):
            return error_reply(HttpError(503, str(error), RETRY), path)
        raise error

    def _score(self, request: Request, name: str) -> Answer:
        model = self._catalogue.get(name)
        if isinstance(model, ScriptModel):
            return _run_script(model, request)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if model.tiny and len(request.body) <= INLINE and content_type not in IMAGE_TYPES:
            return _reply(_scored(model, content_type, request))
        # A worker could not read JSON beside this thread, as simdjson holds the interpreter; it would only wait for it.
        values = model.read_quickly(request.body) if content_type in JSON_TYPES else None
        if values is not None:
            return self._on_worker(lambda: _reply(model.score_values(values)))
        return self._on_worker(lambda: _reply(_scored(model, content_type, request)))

    def _infer(self, request: Request, name: str) -> Answer:
        model = self._scoring(name)
        if "inference-header-content-length" in request.headers:
            raise HttpError(400, "Inference-Header-Content-Length: the binary tensor data extension is not supported")
        if model.tiny and len(request.body) <= INLINE:
            return Response(body=kserve.infer(model, request.body))
        return self._on_worker(lambda: Response(body=kserve.infer(model, request.body)))

    def _on_worker(self, work: Callable[[], Response]) -> Awaitable[Response]:
        return self._workers.run(work)

    def _scoring(self, name: str) -> ScoringModel:
        model = self._catalogue.get(name)
        if not isinstance(model, ScoringModel):
            raise HttpError(400, f"the model {name} is an entry script: it answers to POST /score/{name} only")
        return model

    def _swagger(self, request: Request, _model: str) -> Response:
        version = dict(part.partition("=")[::2] for part in request.query.split("&")).get("version", "2")
        return json_reply(swagger(version, self._served(), self._default_model()))

    def _models(self, _request: Request, _model: str) -> Response:
        return json_reply({name: model.information() for name, model in self._served().items()})

    def _served(self) -> dict[str, Servable]:
        return {name: self._catalogue.get(name) for name in self._catalogue.names()}

    def _v2_ready(self, _request: Request, _model: str) -> Response:
        reasons = self._ready()
        return json_reply({"ready": not reasons, **({"reasons": reasons} if reasons else {})}, 503 if reasons else 200)


@lru_cache(maxsize=256)
def _route(path: str) -> _Route:
    """The meaning of a path; HttpError 404."""
    found = FIXED.get(path)
    if found is not None:
        return found
    match path.split("/")[1:]:
        case ["score", name] if name:
            return _Route(methods=("POST", "OPTIONS"), work="score", model=name, guarded=True)
        case ["v2", "models", name] if name:
            return _Route(methods=("GET",), work="v2_model", model=name)
        case ["v2", "models", name, "ready"] if name:
            return _Route(methods=("GET",), work="v2_model_ready", model=name)
        case ["v2", "models", name, "infer"] if name:
            return _Route(methods=("POST",), work="v2_infer", model=name, guarded=True)
        case ["v2", "models", name, "versions", *_]:
            raise HttpError(404, f"models have no versions here: use /v2/models/{name}")
    raise HttpError(404, f"there is nothing at {path}")


def _scored(model: ScoringModel, content_type: str, request: Request) -> Scored:
    if content_type in JSON_TYPES:
        return model.score_json(request.body)
    if content_type in IMAGE_TYPES:
        return model.score_picture(request.body)
    if content_type == RAW_TYPE:
        if SHAPE_HEADER not in request.headers and request.body.startswith(b"{"):
            return model.score_json(request.body)  # some HTTP libraries send this type when they are told none
        return model.score_raw(request.body, _announced_shape(request.headers))
    raise HttpError(415, f"send application/json, image/jpeg, image/png or {RAW_TYPE}, not {content_type}")


def _announced_shape(headers: Mapping[str, str]) -> tuple[int, ...]:
    text = headers.get(SHAPE_HEADER)
    if text is None:
        raise InputError("raw numbers need their shape: send the header X-Tensor-Shape: 1,3,224,224")
    sizes = [size.strip() for size in text.split(",")]
    if not all(size.isascii() and size.isdigit() and len(size) < 10 for size in sizes):
        raise InputError(f"X-Tensor-Shape is {text[:100]!r}: send sizes such as 1,3,224,224")
    return tuple(int(size) for size in sizes)


def _reply(scored: Scored) -> Response:
    return json_reply(
        {"result": scored.result, "time": scored.seconds},
        headers={"x-ms-run-function-failed": "False", "x-ms-run-fn-exec-ms": f"{scored.seconds * 1000:.3f}"},
    )


async def _run_script(model: ScriptModel, request: Request) -> Response:
    answer = await model.call(request.headers, request.body)
    if answer.message is not None:
        return error_reply(HttpError(answer.status, answer.message, answer.headers), request.path)
    return Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
