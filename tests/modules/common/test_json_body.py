from __future__ import annotations

import pytest

from iot_core.errors import MessageError
from iot_core.message import Message
from modules.common.json_body import json_message, numbers_at, records, value_at


def test_a_body_is_one_object_or_an_array_of_objects() -> None:
    assert records(b'{"a": 1}') == [{"a": 1}]
    assert records(b'[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"\xff", "not JSON"), (b"3", "the body is not a JSON object but a number"), (b"[{}, null]", "item 1 .* null")],
)
def test_other_bodies_are_refused_with_the_place(body: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        records(body)


def test_a_dotted_path_goes_into_objects_unless_a_name_has_the_dot_itself() -> None:
    assert value_at({"machine": {"temperature": 5}}, "machine.temperature") == 5
    assert value_at({"machine.temperature": 6, "machine": {"temperature": 5}}, "machine.temperature") == 6


@pytest.mark.parametrize("value", [True, None, "5", {}, [1, None]])
def test_only_numbers_count_as_numbers(value: object) -> None:
    with pytest.raises(MessageError, match="'t' is not a number"):
        numbers_at({"t": value}, "t")


def test_an_answer_keeps_properties_and_says_what_it_answers() -> None:
    answer = json_message({"x": 1}, Message(b"", {"site": "B1"}, {"messageId": "m1"}), {"anomaly": "true"})
    assert answer.properties == {"site": "B1", "anomaly": "true"}
    assert answer.system == {"contentType": "application/json", "contentEncoding": "utf-8", "correlationId": "m1"}
