"""Which twins a condition takes, by their keys: SQLite sorts out what it can, the condition judges the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from heapq import merge

from iot_core.query import Condition
from iot_core.query.ast import Step
from local_hub.documents import Documents
from local_hub.queries.filters import DOUBT, exact_filter, filter_of, twin_column
from local_hub.queries.lag import Earlier, rows_of
from local_hub.queries.light_documents import light_reader
from local_hub.rows import COLUMNS, from_row

__all__ = ["count_exactly", "matching_keys"]

_MODULES = "devices.modules"


def matching_keys(
    connection: sqlite3.Connection,
    condition: Condition,
    paths: Iterable[tuple[Step, ...]],
    documents: Documents,
    earlier: Earlier | None = None,
) -> Iterator[tuple[str, str]]:
    """(device id, module id or "") of each twin that the condition takes, in the order of the keys.

    ``paths`` are those that the condition mentions; twins are read in full only when it takes that. Twins in
    ``earlier`` are judged as they stand there.
    """
    found = _matching_now(connection, condition, paths, documents)
    if not earlier:
        return found
    before = (
        (row[0], row[1])
        for row in rows_of(earlier, modules=condition.collection == _MODULES)
        if condition(documents.twin(from_row(row)))
    )
    return merge((key for key in found if key not in earlier), before)


def _matching_now(
    connection: sqlite3.Connection, condition: Condition, paths: Iterable[tuple[Step, ...]], documents: Documents
) -> Iterator[tuple[str, str]]:
    found = filter_of(condition, twin_column)
    kind = "module_id != ''" if condition.collection == _MODULES else "module_id = ''"
    reader = light_reader(paths)
    columns = COLUMNS if reader is None else ", ".join(reader.columns)
    where = " AND ".join((kind, *found.conditions))
    rows = connection.execute(
        f"SELECT {columns} FROM identities WHERE {where} ORDER BY device_id, module_id", found.parameters
    )
    for row in rows:
        document = documents.twin(from_row(row)) if reader is None else reader.document(row)
        if condition(document):
            yield row[0], row[1]


def count_exactly(connection: sqlite3.Connection, condition: Condition) -> int | None:
    """How many twins the condition takes, counted by SQLite alone; None when that cannot tell."""
    found = exact_filter(condition)
    if found is None:
        return None
    kind = "module_id != ''" if condition.collection == _MODULES else "module_id = ''"
    doubt = f"TOTAL({DOUBT})" if found.conditions else "0"
    statement = f"SELECT COUNT(*), {doubt} FROM identities WHERE {' AND '.join((kind, *found.conditions))}"
    count, doubtful = connection.execute(statement, found.parameters).fetchone()
    return None if doubtful else int(count)
