"""The query language of IoT Hub for twins, module twins and device jobs: compiled once, run over documents, no I/O.

`parser` holds the grammar, `values` how values compare, `compiler` the conditions, `rows` SELECT and GROUP BY.
"""

from __future__ import annotations

from iot_core.query.query import (
    Condition,
    Equality,
    ItemType,
    Membership,
    Query,
    compile_condition,
    parse,
    run,
)
from iot_core.query.values import UNDEFINED, Document, QuerySyntaxError, Undefined

__all__ = [
    "UNDEFINED",
    "Condition",
    "Document",
    "Equality",
    "ItemType",
    "Membership",
    "Query",
    "QuerySyntaxError",
    "Undefined",
    "compile_condition",
    "parse",
    "run",
]
