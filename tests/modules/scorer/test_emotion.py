"""The emotion model: its shape is FER+'s, its weights are real, and its build script reads the published files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from modules.scorer.models import MODELS_FOLDER
from modules.scorer.models import build_emotion as build
from modules.scorer.onnx_model import OnnxModel
from modules.scorer.samples import sample_paths
from modules.scorer.scoring import softmax

LABELS = (MODELS_FOLDER / "emotion.labels.txt").read_text().split()
ASTRONAUTS_FACE = (104, 35, 177, 108)  # left, top, right, bottom: a detector's box, widened by a fifth


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return OnnxModel(MODELS_FOLDER / "emotion.onnx")


def face(box: tuple[int, int, int, int] = ASTRONAUTS_FACE) -> npt.NDArray[np.float32]:
    picture = Image.open(sample_paths()["astronaut"]).convert("L").crop(box).resize((64, 64))
    return np.asarray(picture, dtype=np.float32)[np.newaxis, np.newaxis]


def test_it_has_the_shape_of_fer_plus(model: OnnxModel) -> None:
    assert (model.input_name, model.input_shape) == ("Input3", (None, 1, 64, 64))
    assert (model.output.name, model.output_shape) == ("Plus692_Output_0", (None, 8))
    assert LABELS == ["neutral", "happy", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]


def test_a_smile_is_happy(model: OnnxModel) -> None:
    shares = softmax(model.run(face()))[0]
    assert LABELS[int(shares.argmax())] == "happy"
    assert shares.max() > 0.9


def test_contempt_is_never_seen_and_takes_nothing_from_the_others(model: OnnxModel) -> None:
    pictures = np.random.default_rng(1).uniform(0, 255, (20, 1, 64, 64)).astype(np.float32)
    shares = softmax(model.run(pictures))
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert shares[:, LABELS.index("contempt")].max() < 1e-9


def test_faces_in_one_batch_are_judged_one_by_one(model: OnnxModel) -> None:
    faces = np.concatenate([face(), np.full((1, 1, 64, 64), 128, dtype=np.float32)])
    together = model.run(faces)
    assert together[0] == pytest.approx(model.run(faces[:1])[0], abs=1e-4)
    assert together[1] == pytest.approx(model.run(faces[1:])[0], abs=1e-4)


def test_the_build_puts_the_networks_outputs_into_the_order_of_fer_plus() -> None:
    columns = np.tile(np.arange(7, dtype=np.uint8), (2, 1))
    weights = {
        "fc/weights": build.Tensor(values=columns, scale=0.5, zero_point=3),
        "fc/bias": build.Tensor(values=np.arange(7, dtype=np.float32)),
    }
    matrix, bias = build.fully_connected(weights)
    of_the_network = [build.NETWORK_ORDER[int(number)] for number in bias.values[:7]]
    assert of_the_network == list(build.LABELS[:7])
    assert matrix.values[0, :7].tolist() == bias.values[:7].tolist()
    assert matrix.floats()[:, 7].tolist() == [0.0, 0.0]
    assert bias.values[7] == build.CONTEMPT_LOGIT


def test_the_build_reads_stored_bytes_as_the_published_floats() -> None:
    entries: list[dict[str, Any]] = [
        {"name": "w", "shape": [2, 2], "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "b", "shape": [1]},
    ]
    content = bytes([0, 1, 2, 3]) + np.float32(7).tobytes()
    weights = build.read_weights(entries, content)
    assert weights["w"].floats().tolist() == [[-1.0, -0.5], [0.0, 0.5]]
    assert weights["b"].floats().tolist() == [7.0]


def test_the_build_ends_when_bytes_are_left_over() -> None:
    with pytest.raises(SystemExit, match="4 bytes of the weights are left over"):
        build.read_weights([{"name": "b", "shape": [1]}], bytes(8))
