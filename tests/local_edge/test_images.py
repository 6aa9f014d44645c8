"""The engine table: image names and placeholders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local_edge.engines.images import ImageTable, image_name, load_image_table
from local_edge.errors import EdgeSettingsError, EngineError

TABLE = ImageTable(
    commands={"team/scorer": ("{python}", "-m", "scorer", "--at={host}:{port:5001/tcp}"), "bad": ("{nothing}",)},
    project=Path("/project"),
)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("team/scorer", "team/scorer"),
        ("team/scorer:1.0", "team/scorer"),
        ("registry:5000/team/scorer:1.0-amd64", "registry:5000/team/scorer"),
        ("registry:5000/team/scorer", "registry:5000/team/scorer"),
        ("team/scorer@sha256:00ff", "team/scorer"),
    ],
)
def test_an_image_is_looked_up_without_tag_and_digest(image: str, name: str) -> None:
    assert image_name(image) == name


def test_placeholders_are_filled() -> None:
    command = TABLE.command("team/scorer:2", host="127.0.0.9", ports={"5001/tcp": 6001})
    assert command == [sys.executable, "-m", "scorer", "--at=127.0.0.9:6001"]
    assert TABLE.command("team/scorer", host="h", ports={})[-1] == "--at=h:5001"
    assert TABLE.ports("team/scorer") == ("5001/tcp",)


def test_an_unknown_image_and_an_unknown_placeholder_are_named() -> None:
    with pytest.raises(EngineError, match="no command for image other/image: add it to"):
        TABLE.command("other/image:1", host="h", ports={})
    with pytest.raises(EngineError, match=r"unknown placeholder \{nothing\}"):
        TABLE.command("bad", host="h", ports={})


@pytest.mark.parametrize(
    "text", ["not toml", "engine = 1", '[engine.process.images]\n"a" = "text"', '[engine.process.images]\n"a" = []']
)
def test_a_malformed_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "edgeyard.toml").write_text(text)
    with pytest.raises(EdgeSettingsError, match=r"edgeyard\.toml"):
        load_image_table(tmp_path / "edgeyard.toml")


def test_the_table_of_this_repository_is_whole() -> None:
    table = load_image_table(Path(__file__).resolve().parents[2] / "edgeyard.toml")
    for image in table.commands:
        assert table.command(image, host="h", ports={})[0] == sys.executable
