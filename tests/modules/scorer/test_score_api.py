"""POST /score as Azure ML's inference server has it, and the ways beside JSON."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.scorer.api import MAX_BODY
from modules.scorer.catalogue import BUILT_IN
from modules.scorer.photograph import read_photograph
from modules.scorer.samples import sample_paths
from modules.scorer.specification import ModelSpec, Preprocessing, Task
from tests.modules.scorer.onnx_models import linear, picture_means, save, unlimited
from tests.modules.scorer.serving_models import Served, serving_models

KEY = "a key of the tests"
FACE = [[[[128.0] * 64] * 64]]
JPEG = {"Content-Type": "image/jpeg"}
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture
async def scorer(tmp_path: Path) -> AsyncIterator[Served]:
    means = ModelSpec(
        source=str(save(tmp_path, "means", picture_means())),
        task=Task.CLASSIFICATION,
        labels=["red", "green", "blue"],
        preprocessing=Preprocessing(mean=(0.0,), std=(0.1,)),
        threshold=0.2,
        top_k=2,
    )
    specs = {
        "twice": ModelSpec(source=str(save(tmp_path, "twice", linear()))),
        "means": means,
        "sure": means.model_copy(update={"softmax": True}),
        "inverse": ModelSpec(source=str(save(tmp_path, "inverse", unlimited()))),
    }
    async with serving_models(specs) as served:
        yield served


@pytest.fixture
async def built_in() -> AsyncIterator[Served]:
    async with serving_models(BUILT_IN) as served:
        yield served


def picture(red: int, green: int, blue: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), (red, green, blue)).save(buffer, kind)
    return buffer.getvalue()


async def test_data_in_result_and_time_out(scorer: Served) -> None:
    answer = await scorer.post("/score", {"data": [[1, 2.5, -3], [0, 0, 1]]})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert set(answer.json) == {"result", "time"}
    assert answer.json["result"] == [[2.0, 5.0, -6.0], [0.0, 0.0, 2.0]]
    assert 0 < float(str(answer.json["time"])) < 10


async def test_several_models_answer_in_one_process(scorer: Served) -> None:
    assert (await scorer.post("/score/twice", {"data": [[1, 1, 1]]})).json["result"] == [[2, 2, 2]]
    assert (await scorer.post("/score/inverse", {"data": [[4]]})).json["result"] == [[0.25]]
    unknown = await scorer.post("/score/nothing", {"data": [[4]]})
    assert (unknown.status, unknown.json["message"]) == (
        404, "there is no model nothing: there are inverse, means, sure, twice",
    )  # fmt: skip


async def test_the_emotion_model_gives_eight_probabilities(built_in: Served) -> None:
    result = (await built_in.post("/score/emotion", {"data": FACE})).json["result"]
    assert isinstance(result, list)
    assert len(result) == 8
    assert sum(result) == pytest.approx(1, abs=1e-5)
    assert all(0 <= share <= 1 for share in result)


async def test_the_classifier_gives_what_resnet50v2_would(built_in: Served) -> None:
    tensor = read_photograph(sample_paths()["coffee"].read_bytes())
    logits = np.array((await built_in.post("/score", {"data": tensor})).json["result"])
    assert logits.shape == (1, 1000)
    assert logits.argmax() == 967  # espresso


async def test_softmax_where_the_specification_says_so(scorer: Served) -> None:
    data = np.zeros((1, 3, 8, 8), dtype=np.float32)
    assert (await scorer.post("/score/means", {"data": data})).json["result"] == [[0, 0, 0]]
    assert np.allclose(np.array((await scorer.post("/score/sure", {"data": data})).json["result"]), 1 / 3)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"data": [[1, 2]]}', "data[0] has 2 items, not 3: the model takes the shape [N, 3]"),
        (b'{"data": [[1, 2, 3], [1, 2]]}', "data[1] has 2 items, not 3"),
        (b'{"data": [[1, 2, null]]}', "data[0][2] is null, not a number"),
        (b'{"data": [[1, true, 2]]}', "data[0][1] is a boolean, not a number"),
        (b'{"data": [[1, NaN, 2]]}', "data[0][1] is NaN"),
        (b'{"data": [[1, 1e999, 2]]}', "data[0][1] is too large"),
        (b'{"data": [[1, "2", 2]]}', "data[0][1] is text"),
        (b'{"data": [[[1], [2], [3]]]}', "data[0][0] is an array"),
        (b'{"data": [1, 2, 3]}', "data[0] is a number, not an array"),
        (b'{"data": []}', "data is empty"),
        (b'{"dat": 1}', 'the body must be an object with the array "data"'),
        (b"[1]", 'the body must be an object with the array "data"'),
        (b'{"data": [[1, 2, 3]', "the body is not JSON"),
        (b"", "the body is not JSON"),
    ],
)
async def test_a_bad_body_says_what_is_wrong_and_where(scorer: Served, body: bytes, reason: str) -> None:
    answer = await scorer.post("/score", body)
    assert answer.status == 400
    assert reason in str(answer.json["message"])
    assert answer.json["error"] == answer.json["message"]


async def test_too_many_numbers_are_refused(scorer: Served) -> None:
    rows = [[0, 0, 0]] * 900_000
    answer = await scorer.post("/score", {"data": rows})
    assert answer.status == 400
    assert "data has 2700000 numbers: send at most 2408448" in str(answer.json["message"])


async def test_too_many_bytes_are_refused_before_they_are_read(scorer: Served) -> None:
    answer = await scorer.post("/score", bytes(MAX_BODY + 1))
    assert (answer.status, answer.json["message"]) == (413, f"the body is too large: send at most {MAX_BODY} bytes")


async def test_a_result_that_is_no_number_is_an_error(scorer: Served) -> None:
    answer = await scorer.post("/score/inverse", {"data": [[0]]})
    assert (answer.status, answer.json["message"]) == (400, "the model inverse gave a result that is not finite")


async def test_a_picture_gives_labels_over_the_threshold(scorer: Served) -> None:
    answer = await scorer.post("/score/means", picture(250, 200, 0), {"Content-Type": "image/png"})
    result = answer.json["result"]
    assert isinstance(result, list)
    assert [guess["label"] for guess in result] == ["red"]
    assert result[0]["probability"] == pytest.approx(1 / (1 + np.exp(-50 / 25.5) + np.exp(-250 / 25.5)), abs=1e-3)


async def test_a_photograph_of_each_kind_is_classified(built_in: Served) -> None:
    async def first(name: str) -> str:
        answer = await built_in.post("/score", sample_paths()[name].read_bytes(), JPEG)
        result = answer.json["result"]
        assert isinstance(result, list)
        assert len(result) == 5
        return str(result[0]["label"])

    names = ["coffee", "palace", "flower"] * 3
    assert await asyncio.gather(*map(first, names)) == ["espresso", "palace", "daisy"] * 3


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [("/score/means", b"nonsense", "neither a JPEG nor a PNG"), ("/score", picture(1, 2, 3), "takes no pictures")],
)
async def test_a_picture_that_cannot_be_taken_is_refused(scorer: Served, path: str, body: bytes, reason: str) -> None:
    answer = await scorer.post(path, body, {"Content-Type": "image/png"})
    assert answer.status == 400
    assert reason in str(answer.json["message"])


async def test_raw_numbers_with_their_shape(scorer: Served) -> None:
    body = np.array([[1, 2, 3], [4, 5, 6]], dtype="<f4").tobytes()
    answer = await scorer.post("/score", body, {**RAW, "X-Tensor-Shape": "2,3"})
    assert answer.json["result"] == [[2, 4, 6], [8, 10, 12]]


@pytest.mark.parametrize(
    ("shape", "body", "reason"),
    [
        (None, bytes(12), "send the header X-Tensor-Shape"),
        ("1;3", bytes(12), "X-Tensor-Shape is '1;3'"),
        ("3", bytes(12), "the shape [3] is not what the model takes: [N, 3]"),
        ("2,3", bytes(12), "the body has 12 bytes, not the 24 of [2, 3] as float32"),
        ("0,3", b"", "the shape [0, 3] is not what the model takes"),
        ("1,3", np.array([1, np.nan, 3], dtype="<f4").tobytes(), "the number at [0, 1] is not finite"),
        ("999999999,3", b"", "numbers: send at most"),
    ],
)
async def test_raw_numbers_are_checked(scorer: Served, shape: str | None, body: bytes, reason: str) -> None:
    answer = await scorer.post("/score", body, {**RAW, **({} if shape is None else {"X-Tensor-Shape": shape})})
    assert answer.status == 400
    assert reason in str(answer.json["message"])


async def test_the_type_of_curl_is_taken_for_json_and_others_are_refused(scorer: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await scorer.post("/score", b'{"data": [[1, 2, 3]]}', form)).status == 200
    answer = await scorer.post("/score", b"hello", {"Content-Type": "application/xml"})
    assert answer.status == 415
    assert "application/json" in str(answer.json["message"])


async def test_health_models_and_unknown_paths(built_in: Served) -> None:
    health = await built_in.get("/")
    assert (health.status, health.body) == (200, b"Healthy")
    models = (await built_in.get("/models")).json
    assert set(models) == {"classifier", "emotion", "anomaly"}
    assert models["emotion"]["labels"][0] == "neutral"  # type: ignore[index]
    missing = await built_in.get("/nothing")
    assert (missing.status, missing.json["message"]) == (404, "there is nothing at /nothing")


async def test_methods_are_those_of_azure_ml(scorer: Served) -> None:
    refused = await scorer.get("/score")
    assert (refused.status, refused.json["message"], refused.headers["Allow"]) == (
        405, "Method not allowed", "POST, OPTIONS",
    )  # fmt: skip
    assert (await scorer.post("/score", b"", {}, method="OPTIONS")).status == 200


async def test_request_ids_come_back(scorer: Served) -> None:
    body = {"data": [[1, 2, 3]]}
    own = await scorer.post("/score", body, {"x-request-id": "r1", "x-ms-client-request-id": "c1"})
    assert [own.headers[name] for name in ("x-request-id", "x-ms-request-id", "x-ms-client-request-id")] == [
        "r1", "c1", "c1",
    ]  # fmt: skip
    fresh = await scorer.post("/score", body)
    assert fresh.headers["x-request-id"] == fresh.headers["x-ms-request-id"]
    assert "x-ms-client-request-id" not in fresh.headers
    assert float(fresh.headers["x-ms-run-fn-exec-ms"]) > 0
    assert (await scorer.post("/score", body, {"x-request-id": "x" * 101})).status == 431


async def test_without_the_key_nothing_is_scored(tmp_path: Path) -> None:
    spec = ModelSpec(source=str(save(tmp_path, "twice", linear())))
    async with serving_models({"twice": spec}, key=KEY) as scorer:
        for headers in ({}, {"Authorization": KEY}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": "Bearer "}):
            for path in ("/score", "/score/twice", "/v2/models/twice/infer"):
                answer = await scorer.post(path, {"data": [[1, 2, 3]]}, headers)
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
                assert KEY not in answer.body.decode()
        assert (await scorer.post("/score", {"data": [[1, 2, 3]]}, {"Authorization": f"bearer {KEY}"})).status == 200
        assert (await scorer.get("/")).status == 200


async def test_requests_are_counted_by_model_and_status(scorer: Served) -> None:
    for path in ("/score", "/score/twice", "/score/made-up"):
        await scorer.post(path, {"data": [[1, 2, 3]]})

    def count(model: str, status: str) -> float | None:
        name = "edgeyard_scorer_requests_total"
        return scorer.registry.get_sample_value(name, {"model": model, "status": status})

    assert (count("twice", "200"), count("other", "404"), count("made-up", "404")) == (2, 1, None)
