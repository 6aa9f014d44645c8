from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from modules.scorer import tensor
from modules.scorer.onnx_model import Port
from modules.scorer.tensor import MAX_NUMBERS, SMALL, TensorError, read_raw, read_tensor

SHAPE = (None, 2, 2, 3)
PORT = Port(name="x", dtype=np.dtype(np.float32), shape=SHAPE)
PADDING = {"note": "x" * SMALL}
"""Makes a body large enough for simdjson's way."""


def small_tensor(batch: int = 1) -> Any:
    return np.arange(batch * 12, dtype=float).reshape(batch, 2, 2, 3).tolist()


def body_of(data: Any, **more: Any) -> bytes:
    return json.dumps({"data": data, **more}).encode()


@pytest.fixture(params=[{}, PADDING], ids=["small", "large"])
def more(request: pytest.FixtureRequest) -> dict[str, str]:
    return dict(request.param)


def test_numbers_arrive_in_order_as_float32(more: dict[str, str]) -> None:
    read = read_tensor(body_of(small_tensor(2), **more), PORT)
    assert (read.dtype, read.shape) == (np.float32, (2, 2, 2, 3))
    assert read.ravel().tolist() == list(range(24))


def test_the_fast_ways_take_a_sound_body(monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    monkeypatch.setattr(tensor, "_read_slowly", lambda *_: pytest.fail("the slow way was taken"))
    assert read_tensor(body_of(small_tensor(), **more), PORT).shape == (1, 2, 2, 3)


def test_other_members_beside_the_data_do_not_matter(more: dict[str, str]) -> None:
    assert read_tensor(body_of(small_tensor(), tags=["a", [None]], **more), PORT).shape == (1, 2, 2, 3)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.int8, np.uint8, np.uint64, np.int32])
def test_every_type_is_read(dtype: type, more: dict[str, str]) -> None:
    port = Port(name="x", dtype=np.dtype(dtype), shape=(None, None))
    read = read_tensor(body_of([[1, 2], [3, 100]], **more), port)
    assert (read.dtype, read.tolist()) == (np.dtype(dtype), [[1, 2], [3, 100]])


def test_booleans_are_read_where_the_model_takes_them(more: dict[str, str]) -> None:
    port = Port(name="x", dtype=np.dtype(np.bool_), shape=(None,))
    assert read_tensor(body_of([True, False], **more), port).tolist() == [True, False]
    with pytest.raises(TensorError, match=r"data\[1\] is a number, not a boolean"):
        read_tensor(body_of([True, 1], **more), port)


@pytest.mark.parametrize("value", [128, -129, 1.5, True, 2**70])
def test_whole_numbers_must_fit_their_type(value: object, more: dict[str, str]) -> None:
    port = Port(name="x", dtype=np.dtype(np.int8), shape=(2,))
    with pytest.raises(TensorError, match=r"data\[1\] is"):
        read_tensor(body_of([1, value], **more), port)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, r"data\[0\]\[1\]\[0\]\[2\] is null"),
        (float("nan"), r"data\[0\]\[1\]\[0\]\[2\] is NaN"),
        (float("inf"), r"data\[0\]\[1\]\[0\]\[2\] is too large"),
        (True, r"data\[0\]\[1\]\[0\]\[2\] is a boolean"),
        ("7", r"data\[0\]\[1\]\[0\]\[2\] is text"),
        ([1, 2], r"data\[0\]\[1\]\[0\]\[2\] is an array"),
        ({}, r"data\[0\]\[1\]\[0\]\[2\] is an object"),
        (1e39, r"data\[0\]\[1\]\[0\]\[2\] is too large for float32"),
        (10**30 * 10**30, r"data\[0\]\[1\]\[0\]\[2\] is too large for float32"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(value: object, reason: str, more: dict[str, str]) -> None:
    data = small_tensor()
    data[0][1][0][2] = value
    with pytest.raises(TensorError, match=reason):
        read_tensor(body_of(data, **more), PORT)


def test_values_that_hide_in_neighbouring_arrays_are_found() -> None:
    data = small_tensor()
    data[0][0][0] = [0.0, [], [1.0, 2.0]]  # three items, three numbers once flattened
    with pytest.raises(TensorError, match=r"data\[0\]\[0\]\[0\]\[1\] is an array"):
        read_tensor(body_of(data), PORT)


def test_a_ragged_row_is_named() -> None:
    data = small_tensor()
    data[0][1][1] = [1.0, 2.0]
    with pytest.raises(TensorError, match=r"data\[0\]\[1\]\[1\] has 2 items, not 3.*\[N, 2, 2, 3\]"):
        read_tensor(body_of(data), PORT)


def test_rows_whose_lengths_only_add_up_are_refused() -> None:
    data = small_tensor()
    data[0][0][0], data[0][0][1] = [1.0, 2.0], [3.0, 4.0, 5.0, 6.0]
    with pytest.raises(TensorError, match=r"data\[0\]\[0\]\[0\] has 2 items"):
        read_tensor(body_of(data), PORT)


@pytest.mark.parametrize("data", [5, [], [[1.0]], small_tensor()[0], [small_tensor()]])
def test_a_wrong_rank_is_refused(data: object) -> None:
    with pytest.raises(TensorError, match="data"):
        read_tensor(body_of(data), PORT)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"data": [[[[1,]]]]}', b'{"data": [[[[Nan]]]]}', b"\xff\xfe", b"null", b"[" * 5000],
)
def test_what_is_not_the_contract_is_refused(body: bytes) -> None:
    with pytest.raises(TensorError, match="body"):
        read_tensor(body, PORT)


def test_a_good_tensor_in_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(TensorError, match="the body is not JSON"):
        read_tensor(b'{"other": NaN, "data": [1]}', Port(name="x", dtype=np.dtype(np.float32), shape=(1,)))


def test_too_many_numbers_are_refused() -> None:
    port = Port(name="x", dtype=np.dtype(np.float32), shape=(None,))
    with pytest.raises(TensorError, match=f"send at most {MAX_NUMBERS} in one request"):
        read_tensor(b'{"data": [' + b"0," * MAX_NUMBERS + b"0]}", port)


def test_one_thread_reads_one_body_after_another_whatever_went_wrong(more: dict[str, str]) -> None:
    for data in (small_tensor(), [[1.0]], small_tensor(2)):
        expected = None if len(data) == 1 and data[0] == [1.0] else np.array(data).shape
        try:
            found = read_tensor(body_of(data, **more), PORT).shape
        except TensorError:
            found = None
        assert found == expected


def test_raw_numbers_are_little_endian_whatever_the_machine() -> None:
    port = Port(name="x", dtype=np.dtype(np.int64), shape=(None, 2))
    assert read_raw(np.array([1, 2, 3, 4], dtype="<i8").tobytes(), port, (2, 2)).tolist() == [[1, 2], [3, 4]]
