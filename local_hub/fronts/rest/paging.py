"""Pages of rows and the headers that carry them (REST reference, "Query - Get Twins")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iot_core.hub_errors import hub_error
from iot_core.limits import QUERY_PAGE_DEFAULT, QUERY_PAGE_MAX
from local_hub.fronts.rest.call import Call, Reply

__all__ = ["continuation_of", "page_of", "page_reply", "page_size"]


def page_size(call: Call) -> int:
    """The page size asked for: 100 when none is, at most 1000; HubError ArgumentInvalid when it is not one."""
    text = call.headers.get("x-ms-max-item-count") or str(QUERY_PAGE_DEFAULT)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise hub_error("ArgumentInvalid", "x-ms-max-item-count must be a positive whole number.")
    return min(int(text), QUERY_PAGE_MAX)


def continuation_of(call: Call) -> str | None:
    """The token of the page asked for; None for the first."""
    return call.headers.get("x-ms-continuation") or None


def page_reply(rows: Sequence[Any], item_type: str, continuation: str | None) -> Reply:
    """A page; ``x-ms-continuation`` is there only while more pages are."""
    headers = {"x-ms-item-type": item_type}
    if continuation:
        headers["x-ms-continuation"] = continuation
    return Reply(body=rows, headers=headers)


def page_of(call: Call, rows: Sequence[Any], item_type: str) -> Reply:
    """The page of ``rows`` that the caller asked for; the token is the offset of the next one."""
    token = continuation_of(call) or "0"
    if not token.isascii() or not token.isdigit():
        raise hub_error("ArgumentInvalid", "x-ms-continuation is not a token of this query.")
    start, size = int(token), page_size(call)
    more = len(rows) > start + size
    return page_reply(rows[start : start + size], item_type, str(start + size) if more else None)
