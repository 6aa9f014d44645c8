"""Groups: conditions put together, and read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_tools.groups import EVERY_DEVICE, Group, read_groups
from iot_core.errors import InputError
from iot_core.query import run

B1, LAB = Group("b1", "tags.building = 'B1'"), Group("lab", "tags.room = 'lab' OR tags.room = 'dark'")
ALL = Group("all", EVERY_DEVICE)
DEVICES = [
    {"deviceId": f"{building}-{room}", "tags": {"building": building, "room": room}}
    for building in ("B1", "B2")
    for room in ("lab", "dark", "hall")
]


def members(group: Group) -> set[str]:
    where = "" if group.condition == EVERY_DEVICE else f" WHERE {group.check().condition}"
    return {row["deviceId"] for row in run(f"SELECT * FROM devices{where}", DEVICES)}


def test_groups_unite_intersect_and_lose_members() -> None:
    assert members(B1 | LAB) == {"B1-lab", "B1-dark", "B1-hall", "B2-lab", "B2-dark"}
    assert members(B1 & LAB) == {"B1-lab", "B1-dark"}
    assert members(B1 - LAB) == {"B1-hall"}


def test_every_device_is_a_group_too() -> None:
    assert members(ALL | B1) == members(ALL)
    assert members(ALL & B1) == members(B1)
    assert members(ALL - B1) == members(ALL) - members(B1)
    with pytest.raises(InputError, match="nothing is left"):
        _ = B1 - ALL


def test_a_file_puts_groups_together(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        """
groups:
  office: {any: [b1, b2], not: [lab]}
  b1: tags.building = 'B1'
  b2: tags.building = 'B2'
  lab: tags.room = 'lab'
  elsewhere: {not: [b1]}
""",
    )
    groups = read_groups(file)
    assert members(groups["office"]) == {"B1-dark", "B1-hall", "B2-dark", "B2-hall"}
    assert members(groups["elsewhere"]) == {"B2-lab", "B2-dark", "B2-hall"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: {a: {any: [b]}, b: {any: [a]}}", "made of itself"),
        ("groups: {a: {any: [nobody]}}", "no group 'nobody'"),
        ("groups: {a: tags.x =}", "group a"),
        ("groups: {a: 5}", "group a: give a condition"),
        ("groups: {a: {all: [b]}}", "group a: give a condition"),
        ("a: b", "under 'groups:'"),
        ("groups: [", "is not YAML"),
    ],
)
def test_a_bad_file_is_told_where_it_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = _file(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_groups(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_groups(tmp_path / "none.yaml")


def _file(folder: Path, text: str) -> Path:
    file = folder / "groups.yaml"
    file.write_text(text)
    return file
