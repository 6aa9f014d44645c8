"""Where TLS records end, however the bytes are split."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from transport.tls_records import RecordCounter

RECORDS = st.lists(st.integers(min_value=0, max_value=18432), min_size=1, max_size=6)


def stream(lengths: list[int]) -> bytes:
    """Records of application data with bodies of these lengths, whose bytes look like headers of long records."""
    return b"".join(b"\x17\x03\x03" + length.to_bytes(2, "big") + b"\xff" * length for length in lengths)


def ended(data: bytes, *cuts: int) -> list[int]:
    """What a counter says of each piece between the cuts."""
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    counter = RecordCounter()
    return [counter.ended_in(memoryview(data)[start:end]) for start, end in pairwise(places)]


@given(RECORDS, st.lists(st.integers(min_value=0, max_value=200_000), max_size=8))
def test_each_record_is_counted_once_however_it_is_split(lengths: list[int], cuts: list[int]) -> None:
    assert sum(ended(stream(lengths), *cuts)) == len(lengths)


@given(RECORDS)
def test_a_record_counts_with_its_last_byte(lengths: list[int]) -> None:
    data = stream(lengths)
    assert ended(data, len(data) - 1)[-1] == 1


def test_a_header_that_cannot_be_one_counts_at_once_so_that_the_engine_says_what_is_wrong() -> None:
    assert ended(b"GET / HTTP/1.1\r\n") == [1]
    assert ended(b"\x17\x03\x03\xff\xff") == [1]
