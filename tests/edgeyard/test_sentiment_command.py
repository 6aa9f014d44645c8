"""`edgeyard sentiment` against the stand-in, in each of its APIs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from edgeyard.cli.main import run
from modules.common.serving import serving
from modules.sentiment_container.http import create_http_app
from modules.sentiment_container.model import SentimentModel
from modules.sentiment_container.versions import choose_versions

HOST = "127.91.7.4"
PRAISE, BLAME = "I love this product, it is wonderful!", "The worst service ever, I want a refund."


@contextmanager
def stand_in(api: str) -> Iterator[str]:
    """The address of one on a thread of its own: the command has an event loop of its own too."""
    started, stop, found = threading.Event(), asyncio.Event(), list[str]()

    async def serve() -> None:
        with ThreadPoolExecutor(1) as executor:
            app = create_http_app(SentimentModel(), executor, versions=choose_versions(api))
            async with serving(app, HOST, 0, remedy="") as port:
                found.append(f"http://{HOST}:{port}")
                loops.append(asyncio.get_running_loop())
                started.set()
                await stop.wait()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with stand_in("all") as address:
        yield address


def test_it_draws_label_and_confidences(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sentiment", PRAISE, "--url", url]) == 0
    first, *bars = capsys.readouterr().out.splitlines()
    assert first.startswith("positive  score ")
    assert "(2023-04-01)" in first
    assert [line.split()[0] for line in bars] == ["positive", "neutral", "negative"]
    assert bars[0].count("█") > 35


def test_several_sentences_are_shown_one_by_one(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sentiment", f"{PRAISE} {BLAME}", "--url", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mixed")
    assert [line.split()[0] for line in lines[4:]] == ["positive", "negative"]


def test_json_is_for_machines(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sentiment", BLAME, "--url", url, "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["sentiment"], answer["text"], len(answer["sentences"])) == ("negative", BLAME, 1)
    assert sum(answer["confidenceScores"].values()) == pytest.approx(1)


@pytest.mark.parametrize("api", ["v2.0", "v3.1"])
def test_older_containers_are_understood(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    with stand_in(api) as url:
        assert run(["sentiment", PRAISE, "--url", url]) == 0
    assert f"({api})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["Ik hou ervan", "--language", "nl"], 2, "(UnsupportedLanguageCode)"),
        (["x" * 5121], 2, "at most 5120"),
        ([" "], 2, "the text is empty"),
    ],
)
def test_what_the_container_does_not_take_is_said_in_one_line(
    url: str, arguments: list[str], code: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sentiment", *arguments, "--url", url]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line


@pytest.mark.parametrize(("url_", "code"), [("http://127.91.7.9:9", 1), ("localhost", 2), ("ftp://x", 2)])
def test_a_container_that_is_away_is_one_clear_line(url_: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sentiment", "good", "--url", url_]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert ("Is the edge running?" in line) == (code == 1)
