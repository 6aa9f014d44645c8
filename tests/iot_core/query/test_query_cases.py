"""Every case of query_cases.json: a query over its fixtures, the rows or the refusal it has to give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from iot_core.errors import QueryError
from iot_core.query import parse, run

TABLE = json.loads((Path(__file__).parent / "query_cases.json").read_text())
FIXTURES = {
    "devices": TABLE["fixtures"]["devices"],
    "devices.modules": TABLE["fixtures"]["modules"],
    "devices.jobs": TABLE["fixtures"]["jobs"],
}

Case = dict[str, Any]


def cases(expectation: str) -> list[Any]:
    return [pytest.param(case, id=str(case["n"])) for case in TABLE["cases"] if expectation in case]


def identity(row: Mapping[str, Any]) -> str:
    if "jobId" in row:
        return f"{row['deviceId']}@{row['jobId']}"
    return f"{row['deviceId']}/{row['moduleId']}" if "moduleId" in row else str(row["deviceId"])


@pytest.mark.parametrize("case", cases("expect_ids"))
def test_query_finds_documents(case: Case) -> None:
    rows = list(run(case["query"], FIXTURES[parse(case["query"]).collection]))
    assert sorted(map(identity, rows)) == sorted(case["expect_ids"])


@pytest.mark.parametrize("case", cases("expect_rows"))
def test_query_gives_rows(case: Case) -> None:
    rows = list(run(case["query"], FIXTURES[parse(case["query"]).collection]))
    assert sorted(map(json.dumps, rows)) == sorted(map(json.dumps, case["expect_rows"]))


@pytest.mark.parametrize("case", [*cases("expect_ids"), *cases("expect_rows")])
def test_query_names_its_item_type(case: Case) -> None:
    assert parse(case["query"]).item_type == case["item_type"]


@pytest.mark.parametrize("case", cases("expect_error"))
def test_query_is_refused_with_a_position(case: Case) -> None:
    with pytest.raises(QueryError, match=r"\(at character \d+\)"):
        run(case["query"], [])
