"""POST /text/analytics/v2.0/sentiment without HTTP: the request's rules, its documents, its answer.

Source: Text Analytics REST API v2.0 (Sentiment) and "Data limits" in its documentation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from modules.sentiment_container.errors import RequestError

__all__ = ["MAX_BODY", "Batch", "answer", "read_batch"]

MAX_BODY = 1024 * 1024
"""Bytes of a request (documented: 1 MB)."""
MAX_DOCUMENTS = 1000
"""Documents of a v2 sentiment request (documented)."""
MAX_CHARACTERS = 5120
"""Text elements of a document (documented)."""
LANGUAGES = ("en", "en-us", "en-gb")
"""The model here knows English only; a document without a language is English (documented)."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Documents to score, and those that are refused one by one while the others are answered."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)


def read_batch(body: bytes) -> Batch:
    """The documents of a request; RequestError where the request as a whole is refused."""
    batch = Batch()
    seen: set[str] = set()
    for position, document in enumerate(_documents(body)):
        identifier = _identifier(document, position, seen)
        seen.add(identifier)
        problem = _problem(document)
        if problem is None:
            batch.ids.append(identifier)
            batch.texts.append(document["text"])
        else:
            batch.errors.append({"id": identifier, "message": problem})
    return batch


def answer(batch: Batch, scores: Sequence[float]) -> dict[str, Any]:
    """The answer's JSON: one score per document, in order, and the errors."""
    scored = [{"id": name, "score": score} for name, score in zip(batch.ids, scores, strict=True)]
    return {"documents": scored, "errors": batch.errors}


def _documents(body: bytes) -> list[Any]:
    if not body.strip():
        raise RequestError("EmptyRequest", "The request has no body.")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError("InvalidRequestBodyFormat", f"The body is not JSON: {error}") from None
    documents = content.get("documents") if isinstance(content, dict) else None
    if not isinstance(documents, list):
        raise RequestError("InvalidRequestBodyFormat", 'The body must be an object with an array "documents".')
    if not documents:
        raise RequestError("MissingInputRecords", "The request has no documents.")
    if len(documents) > MAX_DOCUMENTS:
        message = f"The request has {len(documents)} documents: at most {MAX_DOCUMENTS} are allowed."
        raise RequestError("InvalidDocumentBatch", message)
    return documents


def _identifier(document: Any, position: int, seen: set[str]) -> str:
    if not isinstance(document, dict):
        raise RequestError("InvalidRequestBodyFormat", f"documents[{position}] is not an object.")
    identifier = document.get("id")
    if not isinstance(identifier, str) or not identifier:
        raise RequestError("InvalidDocument", f"documents[{position}] has no id: give each a text that is not empty.")
    if identifier in seen:
        raise RequestError("InvalidDocument", f"The id {identifier[:80]!r} is used twice: ids must be unique.")
    return identifier


def _problem(document: dict[str, Any]) -> str | None:
    """Why one document is refused, or None."""
    text = document.get("text")
    if not isinstance(text, str) or not text.strip():
        return "Document text is empty."
    if len(text) > MAX_CHARACTERS and _text_elements(text) > MAX_CHARACTERS:
        return f"A document may have at most {MAX_CHARACTERS} text elements."
    language = document.get("language") or "en"
    if not isinstance(language, str) or language.lower() not in LANGUAGES:
        return f"Supplied language {str(language)[:20]!r} is not supported: this stand-in knows English (en) only."
    return None


def _text_elements(text: str) -> int:
    """Characters as a reader counts them: marks that combine with the one before are not counted (the real service
    counts .NET text elements, which also join emoji sequences)."""
    return sum(1 for character in text if not unicodedata.combining(character))
