"""A scorer that answers real HTTP with models of a test's own."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from modules.common.http11 import http_serving
from modules.scorer.api import Access, ScorerApi
from modules.scorer.catalogue import Catalogue, load_model
from modules.scorer.fetching import Fetcher
from modules.scorer.metrics import ScorerMetrics
from modules.scorer.specification import ModelSpec
from modules.scorer.workers import Workers

__all__ = ["HOST", "Answer", "Served", "serving_models"]

HOST = "127.91.3.4"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status, headers and body of one answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return dict(orjson.loads(self.body))


class Served:
    """A client of the scorer under test."""

    def __init__(self, url: str, session: ClientSession, catalogue: Catalogue, registry: CollectorRegistry) -> None:
        self.url = url
        self._session = session
        self.catalogue = catalogue
        self.registry = registry

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._answer("GET", path, None, headers)

    async def post(self, path: str, body: object, headers: Mapping[str, str] = JSON, method: str = "POST") -> Answer:
        data = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return await self._answer(method, path, data, headers)

    async def _answer(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        content = None if data is None else io.BytesIO(data)
        async with self._session.request(method, path, data=content, headers=dict(headers)) as response:
            return Answer(status=response.status, headers=response.headers, body=await response.read())


@asynccontextmanager
async def serving_models(
    specs: Mapping[str, ModelSpec], *, default: str = "", key: str = "", cache: Path = Path("/nonexistent")
) -> AsyncIterator[Served]:
    """Serve models; `default` is that of POST /score, otherwise the first."""
    fetcher, workers, registry = Fetcher(cache), Workers(2), CollectorRegistry()
    metrics = ScorerMetrics(registry)
    catalogue = Catalogue(lambda name, spec, providers: load_model(name, spec, fetcher, providers), built_in={})
    await catalogue.apply(specs)
    metrics.served({name: status["status"] for name, status in catalogue.statuses().items()})
    name = default or next(iter(specs), "")
    api = ScorerApi(
        catalogue, workers, access=Access(key), metrics=metrics, default_model=lambda: name, ready=catalogue.failures
    )
    try:
        async with http_serving(api, HOST, 0, remedy="use another") as port:
            url = f"http://{HOST}:{port}"
            async with ClientSession(url) as session:
                yield Served(url, session, catalogue, registry)
    finally:
        workers.close()
        await catalogue.close()
