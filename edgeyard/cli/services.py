"""`edgeyard score` and `edgeyard sentiment`: call the scoring and sentiment services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.cli.hubs import run_async
from edgeyard.cli.render import Output, print_json, stdout
from iot_core.errors import EdgeyardError, InputError

__all__ = ["score", "sentiment"]

TYPES_BY_SUFFIX = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
BAR_WIDTH = 40
TIMEOUT_S = 30


def score(
    image: Annotated[Path, typer.Argument(help="A JPEG or PNG file.")],
    url: Annotated[str, typer.Option(help="The scorer.")] = "http://127.0.0.2:5001",
    output: Annotated[Output, typer.Option("--output", "-o", help="Bars or JSON.")] = Output.TABLE,
) -> None:
    """Classify a photograph with the scorer module and draw its five likeliest classes.

    Example: edgeyard score cat.jpg
    """
    content_type = TYPES_BY_SUFFIX.get(image.suffix.lower())
    if content_type is None:
        raise InputError(f"{image}: only .jpg and .png files can be scored")
    try:
        body = image.read_bytes()
    except OSError as error:
        raise InputError(f"{image} cannot be read: {error.strerror}") from error
    answer = run_async(_post(f"{url}/score", data=body, headers={"Content-Type": content_type}))
    if output is Output.JSON:
        print_json(answer)
        return
    for entry in answer["result"]:
        bar = "█" * round(entry["probability"] * BAR_WIDTH)
        stdout.print(f"{entry['label'][:28]:<28} {entry['probability']:6.1%} {bar}", markup=False)


def sentiment(
    text: Annotated[str, typer.Argument()],
    url: Annotated[str, typer.Option(help="The sentiment container.")] = "http://127.0.0.2:5000",
    output: Annotated[Output, typer.Option("--output", "-o", help="Text or JSON.")] = Output.TABLE,
) -> None:
    """Score a text with the sentiment container: 0 is negative, 1 positive.

    Example: edgeyard sentiment "Works like a charm"
    """
    request = {"documents": [{"id": "1", "language": "en", "text": text}]}
    answer = run_async(_post(f"{url}/text/analytics/v2.0/sentiment", json=request))
    if answer.get("errors"):
        raise InputError(f"the text was refused: {answer['errors'][0].get('message')}")
    if output is Output.JSON:
        print_json(answer)
    else:
        stdout.print(f"{answer['documents'][0]['score']:.3f}")


async def _post(url: str, **request: Any) -> dict[str, Any]:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.post(url, **request) as response,
        ):
            text = await response.text()
            if response.status != 200:
                raise EdgeyardError(f"{url} answered HTTP {response.status}: {text[:300]}")
            return dict(await response.json())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EdgeyardError(f"{url} does not answer: {error or type(error).__name__}. Is the edge running?") from error
