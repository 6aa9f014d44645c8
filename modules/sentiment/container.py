"""Client of the sentiment container's HTTP API, v2.0 (Text Analytics REST API v2.0, "Sentiment")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from iot_core.errors import EdgeyardError

__all__ = ["Container", "ContainerError", "ContainerRefusedError", "ContainerUnavailableError", "Document", "Scores"]

SENTIMENT_PATH = "/text/analytics/v2.0/sentiment"
READY_PATH = "/ready"
TIMEOUT_S = 20.0  # the real container on one core takes seconds for a full batch
CONNECT_S = 5.0
READY_TIMEOUT_S = 2.0
PASSING = frozenset({408, 425, 429})
"""Client errors that pass by themselves, beside every 5xx."""


class ContainerError(EdgeyardError):
    """The sentiment container gave no scores."""


class ContainerUnavailableError(ContainerError):
    """It cannot be reached, is not ready or is busy: try again."""


class ContainerRefusedError(ContainerError):
    """It does not take this request, and will not later."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text to score; ids are unique in a request."""

    id: str
    text: str
    language: str


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Document id → score, and document id → why there is none."""

    scores: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class Container:
    """Talks to whichever endpoint each call names; use as an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Container:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def scores(self, endpoint: str, documents: Sequence[Document]) -> Scores:
        """Score documents; raises ContainerUnavailableError or ContainerRefusedError."""
        body = orjson.dumps({"documents": [vars(document) for document in documents]})
        status, content = await self._call(endpoint + SENTIMENT_PATH, body)
        if (status >= 500 and status != 501) or status in PASSING:
            raise ContainerUnavailableError(f"the container at {endpoint} answers {status}: {_reason(content)}")
        if status != 200:
            raise ContainerRefusedError(f"the container at {endpoint} refuses ({status}): {_reason(content)}")
        return _scores(content, endpoint)

    async def ready(self, endpoint: str) -> bool:
        """True if the container says that it is ready."""
        try:
            timeout = aiohttp.ClientTimeout(total=READY_TIMEOUT_S)
            async with self._open().get(endpoint + READY_PATH, timeout=timeout) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def _call(self, url: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        try:
            async with self._open().post(url, data=body, headers=headers) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise ContainerUnavailableError(f"no answer from {url}: {reason}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise ContainerError("the client is used outside its `async with`")
        return self._session


def _scores(content: bytes, endpoint: str) -> Scores:
    try:
        answer = orjson.loads(content)
        scores = {str(document["id"]): _score(document["score"]) for document in answer["documents"]}
        errors = {str(error["id"]): str(error.get("message", "refused")) for error in answer["errors"]}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ContainerRefusedError(f"{endpoint} does not answer like a sentiment container (v2.0)") from None
    return Scores(scores=scores, errors=errors)


def _score(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("not a score")
    return float(value)


def _reason(content: bytes) -> str:
    """The innermost message of a v2 error body, or the first characters of what came instead."""
    try:
        error = orjson.loads(content)
        while isinstance(error.get("innerError"), dict):
            error = error["innerError"]
        return str(error["message"])[:200]
    except (ValueError, TypeError, KeyError, AttributeError):
        return content[:80].decode("utf-8", "replace")
