"""A JPEG or PNG → the tensor that ResNet50v2 and the classifier here take."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from iot_core.errors import InputError
from modules.scorer.onnx_model import Float32

__all__ = ["PhotographError", "read_photograph"]

SHORT_SIDE = 256  # pixels: the usual evaluation of ImageNet models scales to this, then crops the centre
CROP = 224
MAX_PIXELS = 40_000_000
"""Above what phones take; a few kilobytes of PNG can decode to gigabytes."""
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
FORMATS = ("JPEG", "PNG")


class PhotographError(InputError):
    """The body is not a photograph that can be read."""


def read_photograph(body: bytes) -> Float32:
    """[1, 3, 224, 224]: the centre of the picture, RGB / 255, less ImageNet's mean, over its deviation. Follows the
    orientation in EXIF. Raises PhotographError."""
    image = _decoded(body)
    scale = SHORT_SIDE / min(image.size)
    size = (max(CROP, round(image.width * scale)), max(CROP, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
    pixels = np.asarray(image.crop((left, top, left + CROP, top + CROP)), dtype=np.float32) / 255
    return np.ascontiguousarray(((pixels - MEAN) / DEVIATION).transpose(2, 0, 1)[np.newaxis])


def _decoded(body: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PhotographError(
                    f"the picture has {image.width} x {image.height} pixels: send at most {MAX_PIXELS}"
                )
            if max(image.size) > 20 * min(image.size):
                raise PhotographError(f"the picture is {image.width} x {image.height}: too long and thin to classify")
            return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise PhotographError("the body is neither a JPEG nor a PNG") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PhotographError(f"the picture cannot be decoded: {error}") from None
