"""Faces in pictures: finding them, cutting them out, and drawing what was seen. Needs OpenCV, the extra `vision`."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from iot_core.errors import InputError

__all__ = ["Box", "annotated", "find_faces", "opencv", "photograph_from_camera", "widened"]

INSTALL = 'pip install "edgeyard[vision]", or pip install "opencv-python-headless<5"'
CASCADE = "haarcascade_frontalface_default.xml"
WIDENING = 0.2  # of width and height; the emotion model was measured with it (modules/scorer/models/emotion.md)
LONGEST_SIDE = 1024  # pixels: larger pictures are searched at this size, which takes a tenth of a second
SMALLEST_FACE = 0.06  # of the short side: smaller finds are mostly none
STEP, NEIGHBOURS = 1.1, 6  # how finely sizes are tried, and how often a face must be found again
COLOUR = (255, 176, 0)
FIRST_FRAMES = 5  # a camera needs some frames to find its exposure


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.left + self.width, self.top + self.height


def opencv() -> ModuleType:
    """The library; InputError that says how to get it, or that this version has no face detector."""
    try:
        import cv2
    except ImportError:
        raise InputError(f"faces and cameras need OpenCV, which is not installed: {INSTALL}") from None
    if not hasattr(cv2, "CascadeClassifier"):
        raise InputError(f"OpenCV {cv2.__version__} has no Haar cascades any more: {INSTALL}")
    return cv2


def find_faces(picture: Image.Image) -> list[Box]:
    """Frontal faces, the largest first."""
    cv2 = opencv()
    scale = min(1.0, LONGEST_SIDE / max(picture.size))
    small = picture.convert("L").resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    least = max(24, round(SMALLEST_FACE * min(small.size)))
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + CASCADE)
    found = cascade.detectMultiScale(np.asarray(small), STEP, NEIGHBOURS, minSize=(least, least))
    boxes = [
        Box(left=round(x / scale), top=round(y / scale), width=round(w / scale), height=round(h / scale))
        for x, y, w, h in (map(int, each) for each in found)
    ]
    return sorted(boxes, key=lambda box: -box.area)


def widened(box: Box, picture: Image.Image, share: float = WIDENING) -> Box:
    """The box with `share` of its width and height added, half on each side, as far as the picture goes."""
    extra_x, extra_y = round(box.width * share / 2), round(box.height * share / 2)
    left, top = max(box.left - extra_x, 0), max(box.top - extra_y, 0)
    right = min(box.left + box.width + extra_x, picture.width)
    bottom = min(box.top + box.height + extra_y, picture.height)
    return Box(left=left, top=top, width=right - left, height=bottom - top)


def annotated(picture: Image.Image, box: Box, text: str) -> Image.Image:
    """A copy with the box and, above or inside it, the text."""
    drawn = picture.convert("RGB")
    draw = ImageDraw.Draw(drawn)
    stroke = max(2, min(picture.size) // 160)
    font = ImageFont.load_default(size=max(12, min(picture.size) // 20))
    draw.rectangle(box.corners, outline=COLOUR, width=stroke)
    _, _, right, bottom = draw.textbbox((0, 0), text, font=font)
    height = bottom + stroke
    place = (box.left, box.top - height if box.top >= height else box.top)
    draw.rectangle((*place, place[0] + right + 2 * stroke, place[1] + height), fill=COLOUR)
    draw.text((place[0] + stroke, place[1]), text, fill="black", font=font)
    return drawn


def photograph_from_camera(number: int) -> Image.Image:
    """One picture of a camera of this machine; InputError where there is none."""
    cv2 = opencv()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it warns of every driver that it tries
    camera = cv2.VideoCapture(number)
    try:
        frame = None
        for _ in range(FIRST_FRAMES):
            read, frame = camera.read()
            if not read:
                raise InputError(
                    f"there is no camera {number} on this machine, or it is in use: name a picture instead"
                )
        return Image.fromarray(np.asarray(frame)[:, :, ::-1])
    finally:
        camera.release()
