"""The documents of a request: what is refused as a whole, and what one by one while the others are answered.

Source: "Data and rate limits" of the Language service and its containers, and the REST API of each version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from modules.common.text_units import count_elements
from modules.sentiment_container.errors import RequestError

__all__ = ["MAX_BODY", "MAX_CHARACTERS", "Batch", "Document", "Problem", "read_batch", "read_object"]

MAX_BODY = 1024 * 1024
"""Bytes of a request (documented: 1 MB)."""
MAX_CHARACTERS = 5120
"""Text elements of a document (documented)."""
CHARACTERS_PER_TRANSACTION = 1000
LANGUAGES = ("en", "en-us", "en-gb")
"""The model here knows English only; a document without a language is English (documented)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One text to judge; `characters` are text elements."""

    id: str
    text: str
    characters: int

    @property
    def transactions(self) -> int:
        """What the service would bill: one for each thousand characters begun."""
        return -(-self.characters // CHARACTERS_PER_TRANSACTION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why one document has no result; `code` is the inner code of v3."""

    id: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The documents of a request, in order."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; RequestError."""
    if not body.strip():
        raise RequestError("EmptyRequest", "The request has no body.")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError("InvalidRequestBodyFormat", f"The body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise RequestError("InvalidRequestBodyFormat", "The body must be a JSON object.")
    return content


def read_batch(content: Mapping[str, Any], *, limit: int, missing: str = "MissingInputRecords") -> Batch:
    """The batch in an object with "documents", at most `limit` of them; RequestError where the request as a whole is
    refused, with the inner code `missing` where it has no documents."""
    batch = Batch()
    seen: set[str] = set()
    for position, document in enumerate(_documents(content, limit, missing)):
        identifier = _identifier(document, position, seen)
        seen.add(identifier)
        found = _checked(identifier, document)
        if isinstance(found, Document):
            batch.documents.append(found)
        else:
            batch.problems.append(found)
    return batch


def _documents(content: Mapping[str, Any], limit: int, missing: str) -> list[Any]:
    documents = content.get("documents")
    if documents is None or documents == []:
        raise RequestError(missing, 'The request has no documents: give an array "documents".')
    if not isinstance(documents, list):
        raise RequestError("InvalidRequestBodyFormat", '"documents" must be an array.')
    if len(documents) > limit:
        message = f"The request has {len(documents)} documents: at most {limit} are allowed."
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


def _checked(identifier: str, document: Mapping[str, Any]) -> Document | Problem:
    text = document.get("text")
    if not isinstance(text, str) or not text.strip():
        return Problem(id=identifier, code="InvalidDocument", message="Document text is empty.")
    characters = count_elements(text)
    if characters > MAX_CHARACTERS:
        message = f"A document may have at most {MAX_CHARACTERS} text elements; this one has {characters}."
        return Problem(id=identifier, code="InvalidDocument", message=message)
    language = document.get("language") or "en"
    if not isinstance(language, str) or language.lower() not in LANGUAGES:
        message = f"Supplied language {str(language)[:20]!r} is not supported: this stand-in knows English (en) only."
        return Problem(id=identifier, code="UnsupportedLanguageCode", message=message)
    return Document(id=identifier, text=text, characters=characters)
