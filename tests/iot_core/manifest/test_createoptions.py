from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import ManifestError
from iot_core.manifest import chunk_options, join_options, parse_options


def of_length(characters: int) -> dict[str, str]:
    """Options whose compact JSON has exactly so many characters."""
    return {"Hostname": "x" * (characters - len('{"Hostname":""}'))}


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=900), max_size=4))
def test_chunks_join_to_the_options_again(options: dict[str, str]) -> None:
    chunks = chunk_options(options, max_chunks=100)
    assert parse_options({"image": "a:1", **chunks}) == options
    assert all(len(chunk.encode("utf-16-le")) // 2 <= 512 for chunk in chunks.values())


def test_the_json_is_compact() -> None:
    assert chunk_options('{ "HostConfig" : {} }') == {"createOptions": '{"HostConfig":{}}'}


@pytest.mark.parametrize(
    ("characters", "keys"),
    [
        (512, ["createOptions"]),
        (513, ["createOptions", "createOptions01"]),
        (1025, ["createOptions", "createOptions01", "createOptions02"]),
    ],
)
def test_every_512_characters_begin_a_chunk(characters: int, keys: list[str]) -> None:
    chunks = chunk_options(of_length(characters))
    assert list(chunks) == keys
    assert [len(chunk) for chunk in chunks.values()][:-1] == [512] * (len(keys) - 1)


def test_a_pair_of_surrogates_is_not_cut() -> None:
    first, second = chunk_options({"a": "x" * 505 + "😀" * 3}).values()
    assert (len(first), second) == (511, '😀😀😀"}')


def test_eight_chunks_are_allowed_and_more_only_when_asked_for() -> None:
    assert len(chunk_options(of_length(4096))) == 8
    with pytest.raises(ManifestError, match="need 9 chunks"):
        chunk_options(of_length(4097))
    assert len(chunk_options(of_length(4097), max_chunks=9)) == 9


def test_the_agent_reads_no_more_than_a_hundred() -> None:
    assert len(chunk_options(of_length(51_200), max_chunks=500)) == 100
    with pytest.raises(ManifestError, match="need 101 chunks"):
        chunk_options(of_length(51_201), max_chunks=500)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, ""),
        ({"createOptions": "{}"}, "{}"),
        ({"createOptions01": "}", "createOptions": "{"}, "{}"),
        ({"CREATEOPTIONS": "{", "CreateOptions01": "}"}, "{}"),
        ({"image": "createOptions:1", "createOptions": "{}"}, "{}"),
    ],
)
def test_chunks_are_joined_in_the_order_of_their_numbers(settings: dict[str, Any], text: str) -> None:
    assert join_options(settings) == text


@pytest.mark.parametrize("text", ["", "  ", "null"])
def test_blank_options_are_an_empty_object(text: str) -> None:
    assert parse_options({"createOptions": text}) == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"createOptions01": "{}"}, "settings.createOptions01: found where createOptions should be"),
        ({"createOptions": "{", "createOptions02": "}"}, "found where createOptions01 should be"),
        ({"createOptions": "{", "createOptions00": "}"}, "found where createOptions01 should be"),
        ({"createOptions": "{", "createoptions": "}"}, "found where createOptions01 should be"),
        ({"createOptions": {}}, "settings.createOptions: must be text"),
        ({"createOptions": "{"}, "settings.createOptions: is not JSON once joined"),
        ({"createOptions": "[]"}, "holds a JSON list"),
        ({"createOptions": "[" * 100_000}, "is not JSON once joined"),
    ],
)
def test_options_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_options(settings)
