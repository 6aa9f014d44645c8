"""A JPEG or PNG → the tensor that a model takes, as its specification says."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from iot_core.errors import InputError
from modules.scorer.onnx_model import Array, Float32
from modules.scorer.specification import Preprocessing

__all__ = ["IMAGENET", "PhotographError", "read_photograph"]

IMAGENET = Preprocessing(size=(224, 224), short_side=256)
"""The usual evaluation of ImageNet models: short side to 256, centre of 224 x 224, ImageNet's mean and deviation."""
MAX_PIXELS = 40_000_000
"""Above what phones take; a few kilobytes of PNG can decode to gigabytes."""
MAX_ASPECT = 20  # long side over short side: beyond, scaling the short side up would make a picture without bounds
FORMATS = ("JPEG", "PNG")
MODES = {"rgb": "RGB", "bgr": "RGB", "gray": "L"}


class PhotographError(InputError):
    """The body is not a photograph that can be read."""


def read_photograph(body: bytes | bytearray, how: Preprocessing = IMAGENET) -> Float32:
    """[1, channels, height, width], or channels last with layout nhwc. Follows the orientation in EXIF. `how.size` must
    be given. Raises PhotographError."""
    if how.size is None:
        raise PhotographError("the model's input has no fixed size: set preprocessing.size")
    image = _fitted(_decoded(body, MODES[how.channels]), how, how.size)
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if how.channels == "bgr":
        pixels = pixels[:, :, ::-1]
    mean, deviation = np.asarray(how.mean, dtype=np.float32), np.asarray(how.std, dtype=np.float32)
    values: Array = (pixels * np.float32(how.scale) - mean) / deviation
    ordered = values if how.layout == "nhwc" else values.transpose(2, 0, 1)
    return np.ascontiguousarray(ordered[np.newaxis], dtype=np.float32)


def _fitted(image: Image.Image, how: Preprocessing, size: tuple[int, int]) -> Image.Image:
    height, width = size
    if how.resize == "stretch":
        return image.resize((width, height), Image.Resampling.BICUBIC)
    if how.resize == "pad":
        return ImageOps.pad(image, (width, height), Image.Resampling.BICUBIC)
    scale = max((how.short_side or min(size)) / min(image.size), width / image.width, height / image.height)
    image = image.resize(
        (max(width, round(image.width * scale)), max(height, round(image.height * scale))), Image.Resampling.BICUBIC
    )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _decoded(body: bytes | bytearray, mode: str) -> Image.Image:
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PhotographError(
                    f"the picture has {image.width} x {image.height} pixels: send at most {MAX_PIXELS}"
                )
            if max(image.size) > MAX_ASPECT * min(image.size):
                raise PhotographError(f"the picture is {image.width} x {image.height}: too long and thin to classify")
            return ImageOps.exif_transpose(image).convert("RGB").convert(mode)
    except UnidentifiedImageError:
        raise PhotographError("the body is neither a JPEG nor a PNG") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PhotographError(f"the picture cannot be decoded: {error}") from None
