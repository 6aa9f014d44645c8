from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from modules.scorer import tensor
from modules.scorer.tensor import MAX_BATCH, TensorError, read_tensor

SHAPE = (None, 2, 2, 3)


def small_tensor(batch: int = 1) -> Any:
    return np.arange(batch * 12, dtype=float).reshape(batch, 2, 2, 3).tolist()


def body_of(data: Any, **more: Any) -> bytes:
    return json.dumps({"data": data, **more}).encode()


def test_numbers_arrive_in_order_as_float32() -> None:
    read = read_tensor(body_of(small_tensor(2)), SHAPE)
    assert (read.dtype, read.shape) == (np.float32, (2, 2, 2, 3))
    assert read.ravel().tolist() == list(range(24))


def test_the_fast_way_takes_a_sound_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor, "_read_strictly", lambda *_: pytest.fail("the slow way was taken"))
    assert read_tensor(body_of(small_tensor()), SHAPE).shape == (1, 2, 2, 3)


def test_other_members_beside_the_data_do_not_matter() -> None:
    assert read_tensor(body_of(small_tensor(), tags=["a", [None]]), SHAPE).shape == (1, 2, 2, 3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, r"data\[0\]\[1\]\[0\]\[2\] is null"),
        (True, r"data\[0\]\[1\]\[0\]\[2\] is a boolean"),
        ("7", r"data\[0\]\[1\]\[0\]\[2\] is text"),
        ([1, 2], r"data\[0\]\[1\]\[0\]\[2\] is an array"),
        ({}, r"data\[0\]\[1\]\[0\]\[2\] is an object"),
        (1e39, r"data\[0\]\[1\]\[0\]\[2\] is too large for float32"),
        (10**30 * 10**30, r"data\[0\]\[1\]\[0\]\[2\] is too large for float32"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(value: object, reason: str) -> None:
    data = small_tensor()
    data[0][1][0][2] = value
    with pytest.raises(TensorError, match=reason):
        read_tensor(body_of(data), SHAPE)


def test_values_that_hide_in_neighbouring_arrays_are_found() -> None:
    data = small_tensor()
    data[0][0][0] = [0.0, [], [1.0, 2.0]]  # three items, three numbers once flattened
    with pytest.raises(TensorError, match=r"data\[0\]\[0\]\[0\]\[1\] is an array"):
        read_tensor(body_of(data), SHAPE)


def test_a_ragged_row_is_named() -> None:
    data = small_tensor()
    data[0][1][1] = [1.0, 2.0]
    with pytest.raises(TensorError, match=r"data\[0\]\[1\]\[1\] has 2 items, not 3.*\[N, 2, 2, 3\]"):
        read_tensor(body_of(data), SHAPE)


def test_rows_whose_lengths_only_add_up_are_refused() -> None:
    data = small_tensor()
    data[0][0][0], data[0][0][1] = [1.0, 2.0], [3.0, 4.0, 5.0, 6.0]
    with pytest.raises(TensorError, match=r"data\[0\]\[0\]\[0\] has 2 items"):
        read_tensor(body_of(data), SHAPE)


@pytest.mark.parametrize("data", [5, [], [[1.0]], small_tensor()[0], [small_tensor()]])
def test_a_wrong_rank_is_refused(data: object) -> None:
    with pytest.raises(TensorError, match="data"):
        read_tensor(body_of(data), SHAPE)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"data": [[[[NaN]]]]}', b'{"data": [[[[Infinity]]]]}', b"\xff\xfe", b"null"]
)
def test_what_is_not_the_contract_is_refused(body: bytes) -> None:
    with pytest.raises(TensorError, match="body"):
        read_tensor(body, SHAPE)


def test_too_large_a_batch_is_refused() -> None:
    with pytest.raises(TensorError, match=f"send 1 to {MAX_BATCH}"):
        read_tensor(body_of(small_tensor(MAX_BATCH + 1)), SHAPE)
