"""The API versions of the sentiment container, seen from a client: paths, limits, requests and answers.

Source: the REST references of Text Analytics v2.0, v2.1, v3.0 and v3.1 and of the Language API (analyze-text), and
"Data and rate limits".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

__all__ = [
    "MAX_BODY",
    "MAX_CHARACTERS",
    "VERSIONS",
    "Answers",
    "ApiVersion",
    "Document",
    "DocumentError",
    "Verdict",
    "reason_of",
]

MAX_BODY = 1024 * 1024
"""Bytes of a request (documented: 1 MB)."""
MAX_CHARACTERS = 5120
"""Text elements of a document, in every version (documented)."""
V2_DOCUMENTS, V3_DOCUMENTS = 1000, 10
LABELS = ("positive", "neutral", "negative", "mixed")

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One text to judge; ids are unique in a request."""

    id: str
    text: str
    language: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the container says of one text. v2 gives a score only: no label, no confidences, no sentences."""

    score: float
    label: str | None = None
    confidences: Mapping[str, float] | None = None
    sentences: Sequence[Json] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentError:
    """Why one text of a request that was answered has no verdict."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """By document id."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    errors: Mapping[str, DocumentError] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ApiVersion:
    """One API version: where it is asked (`path` with its query), how much at once, and in which shapes.

    `read` raises ValueError, TypeError, KeyError or AttributeError for what is no answer of this version.
    """

    name: str
    path: str
    limit: int
    wrap: Callable[[list[Json]], Json]
    read: Callable[[Any], Answers]

    def body(self, documents: Sequence[Document]) -> bytes:
        """The JSON of a request."""
        return orjson.dumps(self.wrap([{"id": d.id, "language": d.language, "text": d.text} for d in documents]))


def _plain(documents: list[Json]) -> Json:
    return {"documents": documents}


def _task(documents: list[Json]) -> Json:
    return {"kind": "SentimentAnalysis", "parameters": {}, "analysisInput": {"documents": documents}}


def _read_v2(answer: Any) -> Answers:
    verdicts = {str(document["id"]): Verdict(score=_number(document["score"])) for document in answer["documents"]}
    errors = {
        str(error["id"]): DocumentError(code="InvalidDocument", message=str(error.get("message", "refused")))
        for error in answer["errors"]
    }
    return Answers(verdicts=verdicts, errors=errors)


def _read_v3(answer: Any) -> Answers:
    verdicts = {str(document["id"]): _verdict_v3(document) for document in answer["documents"]}
    return Answers(verdicts=verdicts, errors={str(e["id"]): _error_v3(e["error"]) for e in answer["errors"]})


def _read_language(answer: Any) -> Answers:
    return _read_v3(answer["results"])


def _verdict_v3(document: Any) -> Verdict:
    confidences = {name: _number(document["confidenceScores"][name]) for name in ("positive", "neutral", "negative")}
    if document["sentiment"] not in LABELS:
        raise ValueError("not a label")
    return Verdict(
        score=confidences["positive"] + confidences["neutral"] / 2,
        label=document["sentiment"],
        confidences=confidences,
        sentences=list(document.get("sentences", ())),
    )


def _error_v3(error: Any) -> DocumentError:
    inner = error.get("innererror") or error
    return DocumentError(code=str(inner.get("code", "")), message=str(inner.get("message", "refused")))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("not a number")
    return float(value)


def reason_of(content: bytes) -> tuple[str, str]:
    """(code, message), innermost, of an error body of any version; else "" and the first characters of what came."""
    try:
        error = orjson.loads(content)
        error = error.get("error", error)
        while isinstance(inner := error.get("innererror", error.get("innerError")), dict):
            error = inner
        return str(error.get("code", "")), str(error["message"])[:200]
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", content[:80].decode("utf-8", "replace")


def _text_analytics(name: str, limit: int, read: Callable[[Any], Answers]) -> ApiVersion:
    return ApiVersion(name=name, path=f"/text/analytics/{name}/sentiment", limit=limit, wrap=_plain, read=read)


def _language(name: str) -> ApiVersion:
    path = f"/language/:analyze-text?api-version={name}"
    return ApiVersion(name=name, path=path, limit=V3_DOCUMENTS, wrap=_task, read=_read_language)


VERSIONS = (
    _language("2023-04-01"),
    _language("2022-05-01"),
    _text_analytics("v3.1", V3_DOCUMENTS, _read_v3),
    _text_analytics("v3.0", V3_DOCUMENTS, _read_v3),
    _text_analytics("v2.1", V2_DOCUMENTS, _read_v2),
    _text_analytics("v2.0", V2_DOCUMENTS, _read_v2),
)
"""In the order in which a container is asked for them: the one that says most comes first."""
