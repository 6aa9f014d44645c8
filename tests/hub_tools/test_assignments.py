"""How NAME=VALUE on a command line becomes JSON."""

from __future__ import annotations

import pytest

from hub_tools.assignments import parse_assignments
from iot_core.errors import InputError


@pytest.mark.parametrize(
    ("assignments", "document"),
    [
        (["reportingInterval=2"], {"reportingInterval": 2}),
        (["mode=eco"], {"mode": "eco"}),
        (["firmware.version=1.2.0", "firmware.retries=3"], {"firmware": {"version": "1.2.0", "retries": 3}}),
        (["note=a=b"], {"note": "a=b"}),
        (["old=null"], {"old": None}),
        (["empty="], {"empty": ""}),
        (['text="5"'], {"text": "5"}),
        ([], {}),
    ],
)
def test_values_are_json_where_they_are_and_text_where_not(assignments: list[str], document: object) -> None:
    assert parse_assignments(assignments, "--desired") == document


@pytest.mark.parametrize("assignment", ["reportingInterval", "=2", "a..b=1", ".a=1"])
def test_an_assignment_without_a_name_or_value_is_named_in_the_error(assignment: str) -> None:
    with pytest.raises(InputError, match="NAME=VALUE") as error:
        parse_assignments([assignment], "--tag")
    assert f"--tag {assignment}" in str(error.value)


def test_one_name_cannot_be_both_a_value_and_an_object() -> None:
    with pytest.raises(InputError, match="a is set to a value elsewhere"):
        parse_assignments(["a=1", "a.b=2"], "--desired")
