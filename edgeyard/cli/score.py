"""`edgeyard score`: have the scorer say what a picture shows, or what a face does."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.text import Text

from edgeyard.cli.hubs import run_async
from edgeyard.cli.render import Output, print_json, print_note, stdout
from edgeyard.faces import Box, annotated, find_faces, photograph_from_camera, widened
from iot_core.errors import EdgeyardError, InputError

__all__ = ["format_guesses", "score"]

SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
ALONE, ON_THE_LOCAL_EDGE = "http://127.0.0.1:5001", "http://127.0.0.2:5001"
START_ONE = "Is the edge running? A scorer alone: python -m modules.scorer --standalone"
EMOTION = "emotion"
KEY_VARIABLE = "SCORER_KEY"
BAR_WIDTH = 40
MOST_BARS = 5
TIMEOUT_S = 30
WRITTEN_AS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
BLAMES_THE_PICTURE = frozenset({400, 404, 413, 415})


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """What is sent, and, of a face, the picture that it was found in and where."""

    body: bytes
    content_type: str
    whole: Image.Image | None = None
    face: Box | None = None


def score(
    image: Annotated[Path | None, typer.Argument(help="A JPEG or PNG file.", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A model of the scorer, such as emotion.", show_default=False)
    ] = None,
    face: Annotated[
        bool | None,
        typer.Option("--face/--whole", help="Score the largest face, or the whole picture. Faces: with emotion."),
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Write the picture with the face marked (.png, .jpg).", show_default=False)
    ] = None,
    camera: Annotated[
        int | None, typer.Option(help="Take the picture with this camera; 0 is the first.", show_default=False)
    ] = None,
    url: Annotated[
        str | None, typer.Option(help=f"The scorer. Default: {ALONE}, else {ON_THE_LOCAL_EDGE}.", show_default=False)
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help=f"File with the scorer's key; or set {KEY_VARIABLE}.", show_default=False)
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Bars or JSON.")] = Output.TABLE,
) -> None:
    """Have the scorer module say what a picture shows and draw its five likeliest classes.

    With --model emotion it is what the largest face in the picture shows.

    Example: edgeyard score cat.jpg
    """
    with_face = model == EMOTION if face is None else face
    if annotate is not None:
        _check_annotation(annotate, with_face)
    picture = _read(image, camera)
    if with_face:
        picture = _largest_face(picture)
    urls = (ALONE, ON_THE_LOCAL_EDGE) if url is None else (_checked(url),)
    path = "/score" if model is None else f"/score/{model}"
    answer = run_async(_post(urls, path, picture, _key(key_file)))
    guesses = _guesses(answer, model)
    if annotate is not None:
        _write(annotate, picture, guesses[0])
    if output is Output.JSON:
        print_json(answer if picture.face is None else {**answer, "face": asdict(picture.face)})
    else:
        stdout.print(format_guesses(guesses))


def format_guesses(guesses: Sequence[dict[str, Any]]) -> Text:
    """The likeliest class, and a bar for each of the first five."""
    best = guesses[0]
    shown = Text.assemble((best["label"], "bold green"), f"  {best['probability']:.1%}")
    for guess in guesses[:MOST_BARS]:
        bar = "█" * round(guess["probability"] * BAR_WIDTH)
        shown.append(f"\n{guess['label'][:28]:<28} {guess['probability']:6.1%} ").append(bar, "cyan")
    return shown


def _read(image: Path | None, camera: int | None) -> _Picture:
    if (image is None) == (camera is None):
        raise InputError("name one picture, such as cat.jpg, or a camera: --camera 0")
    if camera is not None:
        return _encoded(photograph_from_camera(camera), None)
    assert image is not None
    try:
        body = image.read_bytes()
    except OSError as error:
        raise InputError(f"{image} cannot be read: {error.strerror}") from None
    for signature, content_type in SIGNATURES.items():
        if body.startswith(signature):
            return _Picture(body=body, content_type=content_type)
    raise InputError(f"{image} is neither a JPEG nor a PNG")


def _encoded(picture: Image.Image, face: Box | None) -> _Picture:
    """The picture, or the face in it, as a PNG."""
    buffer = io.BytesIO()
    (picture if face is None else picture.crop(face.corners)).save(buffer, "PNG")
    return _Picture(body=buffer.getvalue(), content_type="image/png", whole=picture, face=face)


def _largest_face(picture: _Picture) -> _Picture:
    whole = picture.whole or _decoded(picture.body)
    faces = find_faces(whole)
    if not faces:
        raise InputError(
            "no face was found: try a picture from the front with more light, or --whole if it is one face"
        )
    if len(faces) > 1:
        print_note(f"{len(faces)} faces found; the largest is scored")
    return _encoded(whole, widened(faces[0], whole))


def _decoded(body: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(body), formats=("JPEG", "PNG")) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"the picture cannot be decoded: {error}") from None


def _check_annotation(path: Path, with_face: bool) -> None:
    """Before anything is sent."""
    if not with_face:
        raise InputError("--annotate marks a face: use it with --model emotion, or with --face")
    if path.suffix.lower() not in WRITTEN_AS:
        raise InputError(f"--annotate {path}: the name must end with .png or .jpg")


def _write(path: Path, picture: _Picture, best: dict[str, Any]) -> None:
    assert picture.whole is not None
    assert picture.face is not None
    drawn = annotated(picture.whole, picture.face, f"{best['label']} {best['probability']:.0%}")
    try:
        drawn.save(path, WRITTEN_AS[path.suffix.lower()])
    except OSError as error:
        raise InputError(f"--annotate {path} cannot be written: {error.strerror or error}") from None
    print_note(f"written to {path}")


def _guesses(answer: dict[str, Any], model: str | None) -> list[dict[str, Any]]:
    result = answer.get("result")
    if isinstance(result, list) and result and isinstance(result[0], dict):
        return result
    raise InputError(f"the model {model or 'of the scorer'} names no classes for a picture: it has no labels")


def _key(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--key-file {path} cannot be read: {error}") from None


def _checked(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise InputError(f"--url {url!r} is no address: give one such as {ALONE}")
    return url.rstrip("/")


async def _post(urls: Sequence[str], path: str, picture: _Picture, key: str | None) -> dict[str, Any]:
    """The answer of the first scorer that is there."""
    import aiohttp

    headers = {"Content-Type": picture.content_type, **({"Authorization": f"Bearer {key}"} if key else {})}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        for url in urls:
            try:
                async with session.post(f"{url}{path}", data=picture.body, headers=headers) as response:
                    text = await response.text()
                    _check_status(url, response.status, text)
                    return dict(await response.json())
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise EdgeyardError(f"{url} gave no answer: {error or type(error).__name__}") from None
    raise EdgeyardError(f"no scorer answers at {' or '.join(urls)}. {START_ONE}")


def _check_status(url: str, status: int, text: str) -> None:
    if status == 200:
        return
    if status in (401, 403):
        raise InputError(f"{url} wants a key: --key-file FILE, or set {KEY_VARIABLE}")
    kind = InputError if status in BLAMES_THE_PICTURE else EdgeyardError
    raise kind(f"{url} answered HTTP {status}: {_reason(text)}")


def _reason(text: str) -> str:
    """The scorer's own words, from JSON where it is that."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    found = document.get("error") if isinstance(document, dict) else None
    return found if isinstance(found, str) else text[:300]
