from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iot_core.errors import InputError
from modules.scorer.classifier import Classifier
from modules.scorer.photograph import PhotographError, read_photograph
from modules.scorer.samples import sample_paths

SHOWN = {
    "cat": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee": {"espresso", "cup", "coffee mug"},
    "rocket": {"missile", "projectile", "space shuttle"},
    "palace": {"palace"},
    "flower": {"daisy"},
}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


def test_every_sample_is_there_and_small() -> None:
    assert set(sample_paths()) == set(SHOWN)
    assert all(path.stat().st_size <= 60_000 for path in sample_paths().values())


@pytest.mark.parametrize("name", SHOWN)
def test_a_photograph_is_what_it_shows(classifier: Classifier, name: str) -> None:
    guesses = classifier.classify(sample_paths()[name].read_bytes()).result
    assert guesses[0].label in SHOWN[name]
    assert [guess.probability for guess in guesses] == sorted((g.probability for g in guesses), reverse=True)


def test_the_interface_is_that_of_resnet50v2(classifier: Classifier) -> None:
    model = classifier.model
    assert (model.input_name, model.input_shape) == ("data", (None, 3, 224, 224))
    assert model.output_shape == (None, 1000)
    assert len(classifier.labels) == 1000


def test_a_batch_gives_what_its_tensors_give_alone(classifier: Classifier) -> None:
    tensors = np.concatenate([read_photograph(path.read_bytes()) for path in sample_paths().values()])
    alone = [classifier.model.run(tensor[np.newaxis])[0] for tensor in tensors]
    assert np.allclose(classifier.model.run(tensors), alone, atol=1e-3)


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
    assert read_photograph(picture(3, 4, "JPEG")).shape == (1, 3, 224, 224)


def test_a_broken_model_or_labels_are_one_clear_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"broken\.onnx: onnxruntime cannot load it"):
        Classifier(broken)
    with pytest.raises(InputError, match=r"missing\.onnx: No such file"):
        Classifier(tmp_path / "missing.onnx")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(InputError, match=r"labels\.txt has 2 labels, but .* 1000 classes"):
        Classifier(labels=tmp_path / "labels.txt")
