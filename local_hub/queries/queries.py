"""Queries over twins and device jobs, page by page (IoT Hub developer guide, "IoT Hub query language"; REST reference,
"Query - Get Twins").

Rows come in the order of the ids. A page goes on after the last document the one before it saw, so a walk over many
pages reads each document about once; what changes meanwhile may or may not be seen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

import orjson

from iot_core.errors import HubError, QueryError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from iot_core.query import Condition, Document, Query, compile_condition, parse
from iot_core.query.ast import mentioned_paths
from iot_core.query.parser import parse_condition
from local_hub.documents import Documents
from local_hub.jobs.rows import DEVICE_ROWS, device_document
from local_hub.queries.filters import filter_of, job_column, twin_column
from local_hub.queries.indexes import QueryIndexes
from local_hub.queries.lag import Earlier, QueryLag, rows_of
from local_hub.queries.light_documents import light_reader
from local_hub.rows import COLUMNS, from_row, whole_row
from local_hub.twins.scan import count_exactly, matching_keys
from transport.store import Store

__all__ = ["Page", "Queries"]

_JOBS = "devices.jobs"
_MODULES = "devices.modules"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Rows, what they are ("Twin", "Raw" or "DeviceJob"), and the token of the next page, None when there is none."""

    rows: list[Document]
    item_type: str
    continuation: str | None


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a page starts: after the document of that key, so many rows having been given before."""

    after: tuple[str, ...] | None = None
    given: int = 0


class Queries:
    """Runs queries on committed data, in reader threads."""

    def __init__(self, store: Store, documents: Documents, lag: QueryLag, indexes: QueryIndexes) -> None:
        self._store = store
        self._indexes = indexes
        self._documents = documents
        self._lag = lag

    async def page(self, text: str, page_size: int, continuation: str | None) -> Page:
        """HubError ArgumentInvalid for a bad query or a token of another query."""
        try:
            query = parse(text)
        except QueryError as error:
            raise _bad_request() from error
        place = _place_of(continuation, text)
        self._indexes.asked(query.condition)
        return await self._store.aread(lambda connection: self._page(connection, query, page_size, place))

    async def targets(self, condition_text: str) -> list[tuple[str, str]]:
        """(device id, module id or "") of every twin that the condition of a job takes; QueryError for a bad one."""
        condition = compile_condition(condition_text)
        paths = set(mentioned_paths(parse_condition(condition_text)[1]))
        self._indexes.asked(condition)
        return await self._store.aread(
            lambda connection: list(
                matching_keys(connection, condition, paths, self._documents, self._lag.earlier(connection))
            )
        )

    def count(self, connection: sqlite3.Connection, query: Query) -> int:
        """How many rows a query has, of what a connection sees."""
        if query.is_aggregate or query.collection == _JOBS:
            return sum(1 for _ in self._groups(connection, query))
        found = self._count_twins(connection, query)
        return found if query.top is None else min(found, query.top)

    def _count_twins(self, connection: sqlite3.Connection, query: Query) -> int:
        """How many twins its condition takes."""
        earlier = self._lag.earlier(connection)
        counted = None if earlier else count_exactly(connection, query.condition)
        if counted is not None:
            return counted
        paths = set(mentioned_paths(query.select.where))
        return sum(1 for _ in matching_keys(connection, query.condition, paths, self._documents, earlier))

    def _page(self, connection: sqlite3.Connection, query: Query, size: int, place: _Place) -> Page:
        if query.is_aggregate:
            return self._page_of_groups(connection, query, size, place)
        walk = _Walk(self._read(connection, query, place.after))
        rows = query.run(walk)
        wanted = size if query.top is None else min(size, query.top - place.given)
        taken = list(islice(rows, max(wanted, 0)))
        given = place.given + len(taken)
        next_place = _Place(after=walk.key, given=given)
        more = given != query.top and len(taken) == wanted and next(rows, None) is not None
        return Page(
            rows=taken, item_type=query.item_type, continuation=_token(query.text, next_place) if more else None
        )

    def _page_of_groups(self, connection: sqlite3.Connection, query: Query, size: int, place: _Place) -> Page:
        """Groups need every document each time; the place is the number of groups given before."""
        rows = list(islice(self._groups(connection, query), place.given, place.given + size + 1))
        next_place = _Place(given=place.given + size)
        token = _token(query.text, next_place) if len(rows) > size else None
        return Page(rows=rows[:size], item_type=query.item_type, continuation=token)

    def _groups(self, connection: sqlite3.Connection, query: Query) -> Iterator[Document]:
        """The rows of an aggregate, or of a query on jobs."""
        if query.is_count and query.collection != _JOBS:
            count = self._count_twins(connection, query)
            row = {item.key: count for item in query.select.items or ()}
            return islice(iter((row,)), query.top)
        return query.run(document for _, document in self._read(connection, query, None))

    def _read(
        self, connection: sqlite3.Connection, query: Query, after: tuple[str, ...] | None
    ) -> Iterator[tuple[tuple[str, ...], JsonObject]]:
        """(key, document) of what the query's condition may take, in the order of the keys.

        Documents hold what the query reads of them: all of it for ``SELECT *``.
        """
        if query.collection == _JOBS:
            return _read_jobs(connection, query.condition, after)
        light, earlier = light_reader(query.paths), self._lag.earlier(connection)
        if light is None or earlier or not query.paths:
            rows = _rows(connection, query.condition, after, COLUMNS)
            if earlier:
                rows = _lagging(rows, earlier, after, modules=query.collection == _MODULES)
            return (((row[0], row[1]), self._documents.twin(from_row(row))) for row in rows)
        rows = _rows(connection, query.condition, after, ", ".join(light.columns))
        pairs = (((row[0], row[1]), light.document(row)) for row in rows)
        if query.is_projection:
            return pairs
        taken = (key for key, document in pairs if query.condition(document))
        return ((key, self._documents.twin(from_row(whole_row(connection, key)))) for key in taken)


def _rows(
    connection: sqlite3.Connection, condition: Condition, after: tuple[str, ...] | None, columns: str
) -> Iterator[tuple[Any, ...]]:
    """Those columns of the twins that the condition may take, in the order of the keys."""
    found = filter_of(condition, twin_column)
    kind = "module_id != ''" if condition.collection == _MODULES else "module_id = ''"
    where = " AND ".join((kind, *found.conditions, *(["(device_id, module_id) > (?, ?)"] if after else [])))
    statement = f"SELECT {columns} FROM identities WHERE {where} ORDER BY device_id, module_id"
    return connection.execute(statement, (*found.parameters, *(after or ())))


def _lagging(
    rows: Iterator[tuple[Any, ...]], earlier: Earlier, after: tuple[str, ...] | None, *, modules: bool
) -> Iterator[tuple[Any, ...]]:
    """The rows, those in ``earlier`` as they stand there, in the order of the keys."""
    unchanged = (row for row in rows if row[:2] not in earlier)
    before = (row for row in rows_of(earlier, modules=modules) if after is None or row[:2] > after)
    return merge(unchanged, before, key=lambda row: (row[0], row[1]))


class _Walk(Iterator[JsonObject]):
    """Documents one after another, and the key of the last one that was asked for."""

    def __init__(self, pairs: Iterator[tuple[tuple[str, ...], JsonObject]]) -> None:
        self._pairs = pairs
        self.key: tuple[str, ...] | None = None

    def __next__(self) -> JsonObject:
        self.key, document = next(self._pairs)
        return document


def _read_jobs(
    connection: sqlite3.Connection, condition: Condition, after: tuple[str, ...] | None
) -> Iterator[tuple[tuple[str, ...], JsonObject]]:
    found = filter_of(condition, job_column)
    later = ["(d.job_id, d.device_id, d.module_id) > (?, ?, ?)"] if after else []
    where = " AND ".join((*found.conditions, *later)) or "TRUE"
    statement = f"{DEVICE_ROWS} WHERE {where} ORDER BY d.job_id, d.device_id, d.module_id"
    for row in connection.execute(statement, (*found.parameters, *(after or ()))):
        yield (row[2], row[0], row[1]), device_document(row)


def _token(text: str, place: _Place) -> str:
    content = [_fingerprint(text), place.after, place.given]
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode("ascii")


def _place_of(token: str | None, text: str) -> _Place:
    if token is None:
        return _Place()
    try:
        fingerprint, after, given = orjson.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, binascii.Error):
        raise _bad_token() from None
    if fingerprint != _fingerprint(text) or not _is_key(after) or not isinstance(given, int) or given < 0:
        raise _bad_token()
    return _Place(after=tuple(after) if after else None, given=given)


def _is_key(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) in (2, 3) and all(isinstance(part, str) for part in value)
    )


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _bad_request() -> HubError:
    """All that the service says of a query it does not take."""
    return hub_error("ArgumentInvalid", "BadRequest")


def _bad_token() -> HubError:
    return hub_error("ArgumentInvalid", "x-ms-continuation is not a token of this query.")
