from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iot_core.errors import InputError
from modules.scorer.catalogue import BUILT_IN
from modules.scorer.onnx_model import OnnxModel
from modules.scorer.photograph import IMAGENET, PhotographError, read_photograph
from modules.scorer.samples import sample_paths
from modules.scorer.scoring import ScoringModel
from modules.scorer.specification import FER_PREPROCESSING, ModelSpec, Preprocessing, Task
from tests.modules.scorer.onnx_models import picture_means

PLAIN = Preprocessing(size=(4, 4), scale=1.0, mean=(0.0,), std=(1.0,))
SHOWN = {
    "cat": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee": {"espresso", "cup", "coffee mug"},
    "rocket": {"missile", "projectile", "space shuttle"},
    "palace": {"palace"},
    "flower": {"daisy"},
}


def picture(width: int, height: int, kind: str = "PNG", colour: tuple[int, int, int] = (200, 30, 10)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def classifier() -> ScoringModel:
    spec = BUILT_IN["classifier"]
    labels = Path(str(spec.labels)).read_text("utf-8").splitlines()
    return ScoringModel("classifier", spec, OnnxModel(Path(str(spec.source))), labels)


@pytest.mark.parametrize("name", SHOWN)
def test_a_photograph_is_what_it_shows(classifier: ScoringModel, name: str) -> None:
    guesses = classifier.score_picture(sample_paths()[name].read_bytes()).result
    assert guesses[0].label in SHOWN[name]
    assert [guess.probability for guess in guesses] == sorted((g.probability for g in guesses), reverse=True)


def test_the_classifier_has_the_interface_of_resnet50v2(classifier: ScoringModel) -> None:
    assert (classifier.onnx.input_name, classifier.onnx.input_shape) == ("data", (None, 3, 224, 224))
    assert classifier.onnx.output_shape == (None, 1000)
    assert len(classifier.labels) == 1000


def test_a_batch_gives_what_its_tensors_give_alone(classifier: ScoringModel) -> None:
    tensors = np.concatenate([read_photograph(path.read_bytes()) for path in list(sample_paths().values())[:3]])
    alone = [classifier.onnx.run(tensor[np.newaxis])[0] for tensor in tensors]
    assert np.allclose(classifier.onnx.run(tensors), alone, atol=1e-3)


def test_orientation_in_exif_is_followed() -> None:
    upright = Image.open(sample_paths()["cat"])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    buffer = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    assert np.allclose(
        read_photograph(buffer.getvalue()), read_photograph(sample_paths()["cat"].read_bytes()), atol=0.05
    )


@pytest.mark.parametrize(
    ("how", "shape", "pixel"),
    [
        ({}, (1, 3, 4, 4), [200, 30, 10]),
        ({"channels": "bgr"}, (1, 3, 4, 4), [10, 30, 200]),
        ({"layout": "nhwc"}, (1, 4, 4, 3), [200, 30, 10]),
        ({"channels": "gray"}, (1, 1, 4, 4), [79]),
        ({"scale": 0.1, "mean": (10.0, 1.0, 0.0), "std": (2.0,)}, (1, 3, 4, 4), [5, 1, 0.5]),
        ({"size": (2, 6), "resize": "stretch"}, (1, 3, 2, 6), [200, 30, 10]),
        ({"size": (2, 6), "short_side": 40}, (1, 3, 2, 6), [200, 30, 10]),
    ],
)
def test_the_specification_says_how_pixels_become_numbers(
    how: dict[str, object], shape: tuple[int, ...], pixel: list[float]
) -> None:
    read = read_photograph(picture(30, 20), PLAIN.model_copy(update=how))
    assert read.shape == shape
    middle = read[0, 1, 1, :] if how.get("layout") == "nhwc" else read[0, :, 1, 1]
    assert middle.tolist() == pytest.approx(pixel, abs=1)


def test_padding_keeps_the_whole_picture() -> None:
    read = read_photograph(picture(40, 20), PLAIN.model_copy(update={"resize": "pad", "size": (8, 8)}))
    assert read[0, 0, 0].tolist() == [0] * 8
    assert read[0, 0, 4].tolist() == [200] * 8


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "neither"),
        (b"GIF89a" + bytes(20), "neither"),
        (picture(64, 64)[:80], "cannot be decoded"),
        (picture(1, 100), "too long and thin"),
        (picture(8000, 5001), "at most"),
    ],
)
def test_what_is_no_usable_photograph_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PhotographError, match=reason):
        read_photograph(body)


def test_a_tiny_picture_is_scaled_up() -> None:
    assert read_photograph(picture(3, 4, "JPEG"), IMAGENET).shape == (1, 3, 224, 224)


@pytest.mark.parametrize(("task", "channels"), [(Task.EMOTION, 1), (Task.RAW, 3)])
def test_without_preprocessing_the_task_and_the_input_decide(task: Task, channels: int) -> None:
    onnx = OnnxModel.from_bytes(picture_means(8, channels), Path("m.onnx"))
    model = ScoringModel("m", ModelSpec(task=task), onnx, [])
    assert model.preprocessing is not None
    assert model.preprocessing.size == (8, 8)
    assert (model.preprocessing.channels == FER_PREPROCESSING.channels) is (task is Task.EMOTION)


def test_preprocessing_that_does_not_fit_the_input_is_refused() -> None:
    onnx = OnnxModel.from_bytes(picture_means(8, 1), Path("m.onnx"))
    with pytest.raises(InputError, match="preprocessing gives 3 channels"):
        ScoringModel("m", ModelSpec(preprocessing=Preprocessing()), onnx, [])
