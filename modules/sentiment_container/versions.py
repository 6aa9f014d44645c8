"""The API versions, each with its path, its limit of documents, how a request is read and how it is answered.

Source: the REST references of Text Analytics v2.0, v2.1, v3.0, v3.1 and of the Language API (analyze-text), and "Data
and rate limits".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iot_core.errors import InputError
from modules.sentiment_container.analysis import Analysis
from modules.sentiment_container.answers import answer_language, answer_v2, answer_v3
from modules.sentiment_container.documents import Batch, read_batch, read_object
from modules.sentiment_container.errors import INVALID_ARGUMENT, RequestError
from modules.sentiment_container.options import AnswerOptions, flag, options_from_query, options_of_task

__all__ = ["API_VERSIONS", "LANGUAGE_PATH", "VERSIONS", "Version", "choose_versions"]

LANGUAGE_PATH = "/language/:analyze-text"
API_VERSIONS = (
    "2022-05-01",
    "2022-10-01-preview",
    "2023-04-01",
    "2023-04-15-preview",
    "2023-11-15-preview",
    "2024-11-01",
)
"""Values of api-version that analyze-text has had; sentiment analysis is the same in all of them."""
V2_DOCUMENTS, V3_DOCUMENTS = 1000, 10
KIND = "SentimentAnalysis"

Request = tuple[Batch, AnswerOptions]
Read = Callable[[bytes, Mapping[str, str]], Request]
Answer = Callable[[Batch, Sequence[Analysis], AnswerOptions], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One API version; `refusal` gives the body of a RequestError."""

    name: str
    path: str
    limit: int
    read: Read
    answer: Answer
    refusal: Callable[[RequestError], dict[str, Any]]


def _read_v2_0(body: bytes, _query: Mapping[str, str]) -> Request:
    return read_batch(read_object(body), limit=V2_DOCUMENTS), AnswerOptions()


def _read_v2_1(body: bytes, query: Mapping[str, str]) -> Request:
    stats = flag({name.lower(): value for name, value in query.items()}, "showStats")
    return read_batch(read_object(body), limit=V2_DOCUMENTS), AnswerOptions(show_stats=stats)


def _read_v3_0(body: bytes, query: Mapping[str, str]) -> Request:
    options = options_from_query(query, extended=False)
    return read_batch(read_object(body), limit=V3_DOCUMENTS), options


def _read_v3_1(body: bytes, query: Mapping[str, str]) -> Request:
    options = options_from_query(query, extended=True)
    return read_batch(read_object(body), limit=V3_DOCUMENTS), options


def _read_language(body: bytes, query: Mapping[str, str]) -> Request:
    _check_api_version(query.get("api-version"))
    content = read_object(body)
    if content.get("kind") != KIND:
        message = f"The kind {str(content.get('kind'))[:40]!r} is not built in this stand-in: it has {KIND} only."
        raise RequestError("InvalidParameterValue", message, code=INVALID_ARGUMENT)
    options = options_of_task(query, content.get("parameters"))
    documents = content.get("analysisInput")
    if not isinstance(documents, dict):
        raise RequestError("InvalidRequestBodyFormat", '"analysisInput" must be an object with "documents".')
    return read_batch(documents, limit=V3_DOCUMENTS, missing="MissingInputDocuments"), options


def _check_api_version(value: str | None) -> None:
    if value is None:
        raise RequestError(
            "InvalidParameterValue", "The query parameter api-version is missing.", code=INVALID_ARGUMENT
        )
    if value not in API_VERSIONS:
        message = f"The api-version {value[:40]!r} is not known here: use one of {', '.join(API_VERSIONS)}."
        raise RequestError("UnsupportedApiVersion", message, code=INVALID_ARGUMENT)


def _text_analytics(name: str, limit: int, read: Read, answer: Answer) -> Version:
    refusal = RequestError.body_v2 if name.startswith("v2") else RequestError.body_v3
    path = f"/text/analytics/{name}/sentiment"
    return Version(name=name, path=path, limit=limit, read=read, answer=answer, refusal=refusal)


VERSIONS = (
    _text_analytics("v2.0", V2_DOCUMENTS, _read_v2_0, answer_v2),
    _text_analytics("v2.1", V2_DOCUMENTS, _read_v2_1, answer_v2),
    _text_analytics("v3.0", V3_DOCUMENTS, _read_v3_0, answer_v3),
    _text_analytics("v3.1", V3_DOCUMENTS, _read_v3_1, answer_v3),
    Version(
        name="language",
        path=LANGUAGE_PATH,
        limit=V3_DOCUMENTS,
        read=_read_language,
        answer=answer_language,
        refusal=RequestError.body_v3,
    ),
)


def choose_versions(text: str) -> tuple[Version, ...]:
    """The versions in a list such as "v2.0,v3.1" ("all" are all of them); InputError for a name that is none."""
    if text == "all":
        return VERSIONS
    wanted = [name.strip() for name in text.split(",")]
    known = [version.name for version in VERSIONS]
    for name in wanted:
        if name not in known:
            raise InputError(f"the API version {name!r} is not known: use all, or some of {', '.join(known)}")
    return tuple(version for version in VERSIONS if version.name in wanted)
