# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-image==0.26.0", "scikit-learn==1.9.1", "pillow==13.0.0"]
# ///
"""Writes the sample photographs again from the packages that carry them: `python export_samples.py [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from PIL import Image

SHORT_SIDE = 320  # pixels: above the 256 that the classifier scales to, small enough for a repository
JPEG_QUALITY = 85  # every photograph stays below 60 KB


def photographs() -> dict[str, Any]:
    """Name → array [height, width, 3] of uint8, as the packages ship them."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    return {
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "astronaut": data.astronaut(),
        "palace": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, pixels in photographs().items():
        image = Image.fromarray(pixels)
        scale = SHORT_SIDE / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        image.save(folder / f"{name}.jpg", quality=JPEG_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
