from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.clock import ManualClock, SystemClock, from_iso, iso
from iot_core.errors import InputError


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "1970-01-01T00:00:00.0000000Z"),
        (1767225600, "2026-01-01T00:00:00.0000000Z"),
        (1767225600.5, "2026-01-01T00:00:00.5000000Z"),
        (0.1234567, "1970-01-01T00:00:00.1234567Z"),
        (59.99999999, "1970-01-01T00:01:00.0000000Z"),
        (-62135596800, "0001-01-01T00:00:00.0000000Z"),
    ],
)
def test_iso_prints_seven_digits(timestamp: float, text: str) -> None:
    assert iso(timestamp) == text


@given(st.integers(0, 4_000_000_000))
def test_iso_and_from_iso_are_inverse(seconds: int) -> None:
    assert from_iso(iso(seconds)) == seconds


@pytest.mark.parametrize(
    "text",
    ["1970-01-01T01:00:00.5+01:00", "1970-01-01T00:00:00.5", "1970-01-01T00:00:00.500Z", "1969-12-31T23:00:00.5-01:00"],
)
def test_from_iso_reads_offsets_and_short_fractions(text: str) -> None:
    assert from_iso(text) == 0.5


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00.12345678901Z"]
)
def test_from_iso_refuses_what_is_not_a_time(text: str) -> None:
    with pytest.raises(InputError):
        from_iso(text)


def test_a_manual_clock_moves_only_when_advanced() -> None:
    clock = ManualClock(100)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (102.5, 2.5)


def test_a_manual_clock_refuses_to_go_back() -> None:
    with pytest.raises(InputError, match="only forwards"):
        ManualClock().advance(-1)


def test_the_system_clock_goes_on() -> None:
    clock = SystemClock()
    assert clock.now() > 1_700_000_000
    assert clock.monotonic() <= clock.monotonic()
