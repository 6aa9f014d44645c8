"""`edgeyard score` against a running scorer with its own models, and real photographs."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeyard.cli.main import run
from edgeyard.faces import Box, annotated, find_faces, photograph_from_camera, widened
from modules.scorer.catalogue import BUILT_IN
from modules.scorer.samples import sample_paths
from tests.modules.scorer.serving_models import serving_models

KEY = "a key of this test"
SAMPLES = {name: str(path) for name, path in sample_paths().items()}


@contextmanager
def scorer(key: str = "") -> Iterator[str]:
    """The address of one on a thread of its own: the command has an event loop of its own too."""
    started, stop, loops, found = threading.Event(), asyncio.Event(), list[asyncio.AbstractEventLoop](), list[str]()

    async def serve() -> None:
        async with serving_models(BUILT_IN, default="classifier", key=key) as served:
            found.append(served.url)
            loops.append(asyncio.get_running_loop())
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    try:
        yield found[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with scorer() as address:
        yield address


def test_a_photograph_gets_its_class_and_five_bars(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", SAMPLES["coffee"], "--url", url]) == 0
    first, *bars = capsys.readouterr().out.splitlines()
    assert first.startswith("espresso  ")
    assert len(bars) == 5
    lengths = [bar.count("█") for bar in bars]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 30


def test_json_is_the_scorers_answer(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", SAMPLES["cat"], "--url", url, "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["result"]) == 5
    assert answer["time"] > 0
    assert "face" not in answer


def test_a_face_is_found_scored_and_marked(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked = tmp_path / "seen.png"
    arguments = ["score", "--model", "emotion", SAMPLES["astronaut"], "--url", url, "--annotate", str(marked)]
    assert run([*arguments, "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["result"][0]["label"] == "happy"
    face = Box(**answer["face"])
    assert face.left < 140 < face.left + face.width  # her nose
    assert face.top < 70 < face.top + face.height
    before, after = Image.open(SAMPLES["astronaut"]).convert("RGB"), Image.open(marked)
    assert after.size == before.size
    edge = (face.left + face.width // 2, face.top + face.height)
    assert after.getpixel(edge) == (255, 176, 0)


def test_a_picture_of_one_face_can_be_scored_whole(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "face.jpg"
    Image.open(SAMPLES["astronaut"]).crop((104, 35, 177, 108)).save(cut)
    assert run(["score", "-m", "emotion", "--whole", str(cut), "--url", url]) == 0
    assert capsys.readouterr().out.startswith("happy ")


def test_a_camera_s_fifth_picture_is_scored_in_its_own_colours(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A film plays the camera: OpenCV reads both by the same calls."""
    coffee = np.asarray(Image.open(SAMPLES["coffee"]).convert("RGB"))[:, :, ::-1]
    film, taken = tmp_path / "film.avi", tmp_path / "taken.png"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, coffee.shape[1::-1])
    for brightness in (0, 0, 0.1, 0.3, 1, 0):
        writer.write((coffee * brightness).astype(np.uint8))
    writer.release()
    capture, asked = cv2.VideoCapture, list[int]()

    def camera(number: int) -> cv2.VideoCapture:
        asked.append(number)
        return capture(str(film))

    monkeypatch.setattr(cv2, "VideoCapture", camera)
    assert run(["score", "--camera", "2", "--url", url]) == 0
    assert capsys.readouterr().out.startswith("espresso ")
    assert asked == [2]
    photograph_from_camera(0).save(taken)
    seen = np.asarray(Image.open(taken), dtype=float).mean(axis=(0, 1))
    assert np.abs(seen - coffee[:, :, ::-1].mean(axis=(0, 1))).max() < 5


def test_the_key_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    with scorer(KEY) as url:
        assert run(["score", SAMPLES["cat"], "--url", url]) == 2
        assert "--key-file" in capsys.readouterr().err
        assert run(["score", SAMPLES["cat"], "--url", url, "--key-file", str(file)]) == 0
        monkeypatch.setenv("SCORER_KEY", KEY)
        assert run(["score", SAMPLES["cat"], "--url", url]) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name one picture"),
        ([SAMPLES["cat"], "--camera", "0"], "name one picture"),
        (["README.md"], "README.md is neither a JPEG nor a PNG"),
        (["/nonexistent.jpg"], "/nonexistent.jpg cannot be read: No such file"),
        (["-m", "emotion", SAMPLES["coffee"]], "no face was found"),
        (["-m", "nope", SAMPLES["cat"]], "there is no model nope"),
        (["-m", "anomaly", SAMPLES["cat"]], "takes no pictures"),
        (["--camera", "63"], "there is no camera 63"),
        ([SAMPLES["cat"], "--annotate", "x.png"], "--annotate marks a face"),
        (["-m", "emotion", SAMPLES["astronaut"], "--annotate", "x.gif"], "must end with .png or .jpg"),
        ([SAMPLES["cat"], "--key-file", "/nonexistent"], "/nonexistent cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    url: str, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", *arguments, "--url", url]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line


@pytest.mark.parametrize(("address", "code"), [("http://127.91.7.9:9", 1), ("localhost", 2)])
def test_a_scorer_that_is_away_is_one_line(address: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", SAMPLES["cat"], "--url", address]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert ("python -m modules.scorer --standalone" in line) == (code == 1)


def test_a_truncated_picture_is_bad_input(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = tmp_path / "half.jpg"
    half.write_bytes(sample_paths()["cat"].read_bytes()[:2000])
    for model in ("classifier", "emotion"):
        assert run(["score", "-m", model, str(half), "--url", url]) == 2
        assert "cannot be decoded" in capsys.readouterr().err


def test_without_opencv_it_says_how_to_get_it(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run(["score", "-m", "emotion", SAMPLES["astronaut"], "--url", url]) == 2
    assert 'pip install "edgeyard[vision]"' in capsys.readouterr().err


def test_faces_are_found_in_large_pictures_at_their_own_scale() -> None:
    small = Image.open(SAMPLES["astronaut"])
    large = small.resize((small.width * 8, small.height * 8))
    (found,), (scaled,) = find_faces(small), find_faces(large)
    assert scaled.left / 8 == pytest.approx(found.left, abs=8)
    assert scaled.width / 8 == pytest.approx(found.width, rel=0.2)


def test_a_box_is_widened_by_a_fifth_and_stays_in_the_picture() -> None:
    picture = Image.new("RGB", (200, 100))
    assert widened(Box(left=50, top=30, width=40, height=20), picture) == Box(left=46, top=28, width=48, height=24)
    assert widened(Box(left=0, top=60, width=100, height=40), picture) == Box(left=0, top=56, width=110, height=44)


def test_the_text_stands_inside_when_there_is_no_room_above() -> None:
    picture = Image.new("RGB", (200, 100))
    drawn = annotated(picture, Box(left=10, top=0, width=100, height=90), "happy 99%")
    assert drawn.getpixel((14, 2)) == (255, 176, 0)
    assert picture.getpixel((14, 2)) == (0, 0, 0)
