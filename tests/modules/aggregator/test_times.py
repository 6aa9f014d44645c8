from __future__ import annotations

from typing import Any

import pytest

from iot_core.errors import MessageError
from modules.aggregator.times import TimeFormat, iso_of, reader_of

NEW_YEAR = 1_767_225_600_000_000


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("auto", "2026-01-01T00:00:00Z"),
        ("auto", "2026-01-01T00:00:00"),
        ("auto", "2026-01-01T02:00:00.0000000+02:00"),
        ("auto", 1_767_225_600),
        ("auto", 1_767_225_600.0),
        ("auto", "1767225600"),
        ("auto", 1_767_225_600_000),
        ("auto", 1_767_225_600_000_000),
        ("auto", 1_767_225_600_000_000_000),
        ("iso", "2025-12-31T19:00:00-05:00"),
        ("seconds", 1_767_225_600),
        ("milliseconds", 1_767_225_600_000.0),
        ("milliseconds", "1767225600000"),
        ("microseconds", 1_767_225_600_000_000),
    ],
)
def test_one_moment_in_every_form(form: TimeFormat, value: Any) -> None:
    assert reader_of(form)(value) == NEW_YEAR


def test_fractions_are_kept_to_the_microsecond() -> None:
    assert reader_of("auto")("2026-01-01T00:00:00.1234567Z") == NEW_YEAR + 123_456
    assert reader_of("auto")(1_767_225_600.25) == NEW_YEAR + 250_000


def test_summer_time_of_a_zone_is_an_offset_like_any_other() -> None:
    read = reader_of("iso")
    assert read("2026-03-29T01:59:59+01:00") + 1_000_000 == read("2026-03-29T03:00:00+02:00")


def test_times_before_1970_are_negative() -> None:
    assert reader_of("auto")(-1) == -1_000_000
    assert reader_of("auto")("1969-12-31T23:59:59Z") == -1_000_000
    assert iso_of(-1) == "1969-12-31T23:59:59.9999990Z"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("auto", "yesterday"),
        ("auto", True),
        ("auto", [1]),
        ("auto", 1e300),
        ("iso", 1_767_225_600),
        ("iso", "2026-13-01T00:00:00Z"),
        ("seconds", "noon"),
        ("seconds", 1_767_225_600_000),
        ("seconds", -1e12),
        ("iso", "0001-01-01T00:00:00Z"),
    ],
)
def test_what_is_no_time_is_refused(form: TimeFormat, value: Any) -> None:
    with pytest.raises(MessageError, match="the time"):
        reader_of(form)(value)
