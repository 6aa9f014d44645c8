"""What of the waiting texts fits into one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from iot_core.errors import MessageError
from iot_core.message import Message
from modules.common.json_body import text_at, value_at
from modules.common.text_units import count_elements
from modules.sentiment.api import MAX_BODY, MAX_CHARACTERS, Document, DocumentError
from modules.sentiment.settings import SentimentSettings
from modules.sentiment.waiting import WaitingText

__all__ = ["Item", "items_of", "requests_of"]

ENVELOPE_BYTES = 1024
"""Of a request around its documents."""
DOCUMENT_BYTES = 64
"""Of a document around its id, language and text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A waiting text with its record, and the document to ask for; or why it cannot be asked for."""

    waiting: WaitingText
    record: dict[str, Any]
    document: Document | None = None
    problem: DocumentError | None = None


def items_of(texts: Sequence[WaitingText], settings: SentimentSettings) -> list[Item]:
    """The texts with their documents, numbered within the batch, as the settings in force read them."""
    return [_item(text, str(position), settings) for position, text in enumerate(texts)]


def requests_of(items: Sequence[Item], limit: int) -> Iterator[list[Item]]:
    """Items cut into requests of at most `limit` documents and MAX_BODY bytes; in order."""
    request: list[Item] = []
    size = ENVELOPE_BYTES
    for item in items:
        item_size = _size(item)
        if request and (len(request) >= limit or size + item_size > MAX_BODY):
            yield request
            request, size = [], ENVELOPE_BYTES
        request.append(item)
        size += item_size
    if request:
        yield request


def _item(text: WaitingText, identifier: str, settings: SentimentSettings) -> Item:
    record = orjson.loads(text.message.body)
    try:
        content = text_at(record, settings.text_path)
    except MessageError as error:  # The setting has changed since the text came.
        problem = DocumentError(code="UnreadableMessage", message=str(error))
        return Item(waiting=text, record=record, problem=problem)
    characters = count_elements(content)
    if characters > MAX_CHARACTERS:
        reason = f"the text has {characters} characters: the container takes {MAX_CHARACTERS}"
        return Item(waiting=text, record=record, problem=DocumentError(code="InvalidDocument", message=reason))
    document = Document(id=identifier, text=content, language=_language(record, text.message, settings))
    return Item(waiting=text, record=record, document=document)


def _language(record: dict[str, Any], message: Message, settings: SentimentSettings) -> str:
    """What the record says, else its message's property, else the setting."""
    if settings.language_path:
        try:
            named = value_at(record, settings.language_path)
        except MessageError:
            named = None
        if isinstance(named, str) and named:
            return named
    return message.properties.get(settings.language_property) or settings.language


def _size(item: Item) -> int:
    return 0 if item.document is None else len(orjson.dumps(item.document.text)) + DOCUMENT_BYTES
