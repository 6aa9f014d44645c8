"""`edgeyard query`: rows of a query, printed as they come."""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from edgeyard.cli.aliases import like_az
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, find_hub, run_async
from edgeyard.cli.rows import RowTable
from hub_tools.devices.record import flat
from iot_core.errors import HubError
from iot_core.query import parse

__all__ = ["QueryCommand", "query"]

PAGE_ROWS = 100
QueryCommand = like_az("query")


class QueryFormat(StrEnum):
    """Formats of `query`."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def query(
    text: Annotated[str, typer.Argument(metavar="QUERY")],
    top: Annotated[int | None, typer.Option(min=1, help="End after so many rows.", show_default=False)] = None,
    output: Annotated[
        QueryFormat, typer.Option("--output", "-o", help="CSV has a column a value.")
    ] = QueryFormat.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Run a query in the IoT Hub query language, page after page, and print the rows as they come.

    A query that the hub refuses is read here too, to say where it is wrong.

    Example: edgeyard query "SELECT deviceId, tags.building FROM devices WHERE tags.building = 'B1'"
    """
    run_async(_PRINTERS[output](_pages(find_hub(hub, home=home), text, top)))


async def _pages(target: TargetHub, text: str, top: int | None) -> AsyncIterator[list[dict[str, Any]]]:
    """Pages with `top` rows in all; no page is fetched for rows that nobody wants."""
    left = top
    async with target.service() as service:
        try:
            async for page in service.query_pages(text, page_size=min(PAGE_ROWS, top or PAGE_ROWS)):
                rows = page.rows if left is None else page.rows[:left]
                yield rows
                if left is not None and (left := left - len(rows)) <= 0:
                    return
        except HubError as error:
            # A hub says "BadRequest" and no more.
            if error.name == "ArgumentInvalid":
                parse(text)
            raise


async def _print_table(pages: AsyncIterator[list[dict[str, Any]]]) -> None:
    table = RowTable()
    async for rows in pages:
        table.add([{name: _cell(value) for name, value in row.items()} for row in rows])


async def _print_json(pages: AsyncIterator[list[dict[str, Any]]]) -> None:
    """One array, its rows written as they come."""
    before = "[\n"
    async for rows in pages:
        for row in rows:
            print(before + textwrap.indent(json.dumps(row, indent=2, ensure_ascii=False), "  "), end="", flush=True)
            before = ",\n"
    print("[]" if before == "[\n" else "\n]")


async def _print_csv(pages: AsyncIterator[list[dict[str, Any]]]) -> None:
    """The columns are those of all rows, so they are gathered first."""
    rows = [{name: _cell(value) for name, value in flat(row)} async for page in pages for row in page]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sys.stdout, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


_PRINTERS = {QueryFormat.TABLE: _print_table, QueryFormat.JSON: _print_json, QueryFormat.CSV: _print_csv}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
