"""The V2 protocol in JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from modules.scorer.specification import ModelSpec
from tests.modules.scorer.onnx_models import linear, save, two_inputs
from tests.modules.scorer.serving_models import Served, serving_models

A = {"name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4]}
B = {"name": "b", "shape": [2, 2], "datatype": "INT64", "data": [[10, 20], [30, 40]]}


@pytest.fixture
async def scorer(tmp_path: Path) -> AsyncIterator[Served]:
    specs = {
        "sum": ModelSpec(source=str(save(tmp_path, "sum", two_inputs()))),
        "twice": ModelSpec(source=str(save(tmp_path, "twice", linear()))),
        "bytes": ModelSpec(source=str(save(tmp_path, "bytes", linear(2, dtype=TensorProto.UINT8)))),
        "wide": ModelSpec(source=str(save(tmp_path, "wide", linear(2, dtype=TensorProto.DOUBLE)))),
        "missing": ModelSpec(source=str(tmp_path / "missing.onnx")),
    }
    async with serving_models(specs) as served:
        yield served


async def infer(scorer: Served, model: str = "sum", **request: Any) -> dict[str, Any]:
    answer = await scorer.post(f"/v2/models/{model}/infer", request)
    assert answer.status == 200, answer.body
    return answer.json


async def test_nested_and_flat_tensors_are_read_and_outputs_are_flat(scorer: Served) -> None:
    assert await infer(scorer, id="7", inputs=[A, B]) == {
        "model_name": "sum",
        "id": "7",
        "outputs": [
            {"name": "total", "shape": [2, 2], "datatype": "FP32", "data": [11, 22.5, 33, 44]},
            {"name": "same", "shape": [2, 2], "datatype": "INT64", "data": [10, 20, 30, 40]},
        ],
    }


async def test_only_the_outputs_asked_for_are_given(scorer: Served) -> None:
    answer = await infer(scorer, inputs=[A, B], outputs=[{"name": "same"}])
    assert [output["name"] for output in answer["outputs"]] == ["same"]


@pytest.mark.parametrize(("model", "datatype"), [("bytes", "UINT8"), ("wide", "FP64"), ("twice", "FP32")])
async def test_each_type_keeps_its_name(scorer: Served, model: str, datatype: str) -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": datatype, "data": [1, 2, 100]}
    output = (await infer(scorer, model, inputs=[tensor]))["outputs"][0]
    assert (output["datatype"], output["data"]) == (datatype, [2, 4, 200])


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([A], "inputs: b missing"),
        ([A, B, B], "inputs: a name comes twice"),
        ([A, {**B, "name": "c"}], "inputs[1].name is 'c': the model's inputs are ['a', 'b']"),
        ([A, {**B, "datatype": "INT32"}], "inputs[1].datatype is 'INT32': the input b takes INT64"),
        ([{**A, "shape": [2, 3]}, B], "the shape [2, 3] is not what the model takes: [N, 2]"),
        ([{**A, "shape": [4]}, B], "the shape [4] is not what the model takes"),
        ([{**A, "shape": ["2", 2]}, B], "inputs[0].shape[0] is text, not a whole number"),
        ([{**A, "data": [1, 2, 3]}, B], "inputs[0].data has 3 items, not 4"),
        ([{**A, "data": [1, 2, None, 4]}, B], "inputs[0].data[2] is null"),
        ([{**A, "data": [[], [1, 2], [3], 4]}, B], "inputs[0].data has 4 items, not 2"),
        ([{**A, "data": [1, [2], 3, 4]}, B], "inputs[0].data[1] is an array"),
        ([A, {**B, "data": [1, 2, 3, 4.5]}], "inputs[1].data[3] is a fraction, not a whole number"),
        ([A, {**B, "data": [1, 2, True, 4]}], "inputs[1].data[2] is a boolean"),
        ([{**A, "parameters": {"binary_data_size": 16}}, B], "binary tensor data extension is not supported"),
        ([1, 2], "inputs[0] is a number, not an object"),
        (None, "inputs is missing, not an array"),
    ],
)
async def test_what_does_not_fit_is_named(scorer: Served, inputs: object, reason: str) -> None:
    answer = await scorer.post("/v2/models/sum/infer", {"inputs": inputs})
    assert answer.status == 400
    assert set(answer.json) == {"error"}
    assert reason in str(answer.json["error"])


@pytest.mark.parametrize(("value", "reason"), [(256, "too large for uint8"), (-1, "too large for uint8")])
async def test_numbers_beyond_the_type_are_refused(scorer: Served, value: int, reason: str) -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "UINT8", "data": [1, value, 2]}
    answer = await scorer.post("/v2/models/bytes/infer", {"inputs": [tensor]})
    assert (answer.status, reason in str(answer.json["error"])) == (400, True)


async def test_the_binary_extension_is_refused_by_name(scorer: Served) -> None:
    answer = await scorer.post("/v2/models/sum/infer", b"{}xxxx", {"Inference-Header-Content-Length": "2"})
    assert (answer.status, "binary tensor data extension" in str(answer.json["error"])) == (400, True)


async def test_an_unknown_output_is_refused(scorer: Served) -> None:
    answer = await scorer.post("/v2/models/sum/infer", {"inputs": [A, B], "outputs": [{"name": "z"}]})
    assert "the model's outputs are ['total', 'same']" in str(answer.json["error"])


async def test_metadata_and_health(scorer: Served) -> None:
    assert (await scorer.get("/v2")).json["name"] == "edgeyard-scorer"
    assert (await scorer.get("/v2/health/live")).json == {"live": True}
    model = (await scorer.get("/v2/models/sum")).json
    assert model["platform"] == "onnxruntime_onnx"
    assert model["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "b", "datatype": "INT64", "shape": [-1, 2]},
    ]
    assert (await scorer.get("/v2/models/sum/ready")).json == {"name": "sum", "ready": True}


async def test_what_is_not_there_says_so(scorer: Served) -> None:
    ready = await scorer.get("/v2/health/ready")
    assert (ready.status, "missing" in str(ready.json["reasons"])) == (503, True)
    for path, status in (
        ("/v2/models/nothing", 404),
        ("/v2/models/missing/ready", 503),
        ("/v2/models/sum/versions/1", 404),
    ):
        answer = await scorer.get(path)
        assert (answer.status, set(answer.json)) == (status, {"error"})


async def test_a_model_of_several_inputs_points_to_this_protocol(scorer: Served) -> None:
    answer = await scorer.post("/score/sum", {"data": [[1, 2]]})
    assert (answer.status, "/v2/models/sum/infer" in str(answer.json["message"])) == (400, True)
