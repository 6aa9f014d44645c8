"""`edgeyard sentiment`: ask the sentiment container about one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from edgeyard.cli.hubs import run_async
from edgeyard.cli.render import Output, print_json, stdout
from iot_core.errors import EdgeyardError, InputError
from modules.sentiment.api import Answers, Document, Verdict
from modules.sentiment.container import Container, ContainerError, ContainerRefusedError
from modules.sentiment.settings import SentimentSettings

__all__ = ["format_verdict", "sentiment"]

DEFAULT_URL = "http://127.0.0.2:5000"
BAR_WIDTH = 40
COLOURS = {"positive": "green", "neutral": "yellow", "negative": "red", "mixed": "magenta"}
START_ONE = (
    "Is the edge running? One alone: python -m modules.sentiment_container Eula=accept Billing=https://example.com "
    "ApiKey=local, then --url http://127.0.0.1:5000"
)


def sentiment(
    text: Annotated[str, typer.Argument(help="What somebody said.")],
    language: Annotated[str, typer.Option("--language", "-l", help="Its language, such as en or nl.")] = "en",
    url: Annotated[str, typer.Option(help="The sentiment container.")] = DEFAULT_URL,
    output: Annotated[Output, typer.Option("--output", "-o", help="Bars or JSON.")] = Output.TABLE,
) -> None:
    """Ask the sentiment container whether a text is positive, neutral or negative, and draw its confidences.

    Works with every API from v2.0 on; which one the container has is found out by asking it.

    Example: edgeyard sentiment "Works like a charm"
    """
    endpoint = _checked(url)
    if not text.strip():
        raise InputError("the text is empty: say something")
    document = Document(id="1", text=text, language=language)
    api, answers = run_async(_ask(endpoint, document))
    if problem := answers.errors.get("1"):
        raise InputError(f"the container has no answer for this text ({problem.code}): {problem.message}")
    verdict = answers.verdicts.get("1")
    if verdict is None:
        raise EdgeyardError(f"the container at {endpoint} gave no answer for this text")
    if output is Output.JSON:
        print_json(_as_json(text, api, verdict))
    else:
        stdout.print(format_verdict(api, verdict))


def format_verdict(api: str, verdict: Verdict) -> Text:
    """Label and score, a bar for each confidence, and a line for each sentence where there are several."""
    label = _label(verdict)
    shown = Text.assemble((label, f"bold {COLOURS[label]}"), f"  score {verdict.score:.3f}", (f"  ({api})", "dim"))
    for name, value in (verdict.confidences or {"score": verdict.score}).items():
        bar = "█" * round(value * BAR_WIDTH)
        shown.append(f"\n{name:<8} {value:6.1%} ").append(bar, COLOURS.get(name, "cyan"))
    if len(verdict.sentences) > 1:
        for sentence in verdict.sentences:
            shown.append("\n  ").append(f"{sentence['sentiment']:<8}", COLOURS[sentence["sentiment"]])
            shown.append(f" {sentence.get('text', '')}")
    return shown


async def _ask(endpoint: str, document: Document) -> tuple[str, Answers]:
    """The name of the container's API, and its answer; EdgeyardError in one line."""
    async with Container() as container:
        try:
            version = await container.ask_version(endpoint)
            return version.name, await container.verdicts(endpoint, version, [document])
        except ContainerRefusedError as error:
            raise InputError(str(error)) from error
        except ContainerError as error:
            raise EdgeyardError(f"{error}. {START_ONE}") from error


def _checked(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise InputError(f"--url {url!r} is no address: give one such as {DEFAULT_URL}")
    return url.rstrip("/")


def _label(verdict: Verdict) -> str:
    return verdict.label or SentimentSettings().sentiment(verdict.score)


def _as_json(text: str, api: str, verdict: Verdict) -> dict[str, Any]:
    confidences: Mapping[str, float] | None = verdict.confidences
    sentences: Sequence[Mapping[str, Any]] = verdict.sentences
    return {
        "text": text,
        "api": api,
        "sentiment": _label(verdict),
        "score": verdict.score,
        "confidenceScores": None if confidences is None else dict(confidences),
        "sentences": [dict(sentence) for sentence in sentences],
    }
