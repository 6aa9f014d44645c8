from __future__ import annotations

import pytest

from iot_core.dps.sasl_tpm import read_init, read_response, segments


def test_the_first_response_names_the_device_and_its_key() -> None:
    init = read_init(b"\x000ne0000ABCD\0pump-7\0key\0with\0zeros")
    assert init is not None
    assert init.login.resource == "0ne0000ABCD/registrations/pump-7"
    assert init.endorsement_key == b"key\0with\0zeros"


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"0ne0000ABCD\0r\0k", b"\x000ne0000ABCD\0r", b"\0hub\0r\0k", b"\x000ne0000ABCD\0\xff\0k"]
)
def test_anything_else_is_none(data: bytes) -> None:
    assert read_init(data) is None


def test_later_responses_begin_with_a_zero() -> None:
    assert (read_response(b"\0token"), read_response(b"\0"), read_response(b"token"), read_response(b"")) == (
        b"token",
        b"",
        None,
        None,
    )


def test_a_key_leaves_in_numbered_parts_of_which_the_last_says_so() -> None:
    parts = segments(bytes(400) + b"x" * 400 + b"end")
    assert [(part[0], len(part)) for part in parts] == [(0x80, 401), (0x81, 401), (0xC2, 4)]
    assert b"".join(part[1:] for part in parts) == bytes(400) + b"x" * 400 + b"end"


def test_a_short_key_is_one_part() -> None:
    assert segments(b"key") == [b"\xc0key"]
