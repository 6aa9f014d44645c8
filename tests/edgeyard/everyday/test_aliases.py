"""Command lines with az's option names, made into ours."""

from __future__ import annotations

import pytest

from edgeyard.cli.aliases import translate
from edgeyard.cli.groups import BAR, bar
from iot_core.errors import InputError

PLACES = {"--device-id": 0, "-d": 0, "--method-name": 1, "--mn": 1}
NAMES = {"--mp": "--payload", "-n": "--hub"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("-d d1 --mn reboot", "d1 reboot"),
        ("--mn reboot -d d1", "d1 reboot"),
        ("d1 --mn reboot", "d1 reboot"),
        ("-d d1 reboot", "d1 reboot"),
        ("--device-id=d1 --method-name=reboot", "d1 reboot"),
        ("-d d1 --mn reboot --mp {} -n fleet", "d1 reboot --payload {} --hub fleet"),
        ("--mp={} d1 reboot", "--payload={} d1 reboot"),
        ("d1 reboot -- -d", "d1 reboot -- -d"),
        ("d1 reboot", "d1 reboot"),
    ],
)
def test_options_of_az_become_arguments_and_options_of_ours(typed: str, meant: str) -> None:
    assert translate(typed.split(), PLACES, NAMES) == meant.split()


def test_a_module_goes_with_its_device() -> None:
    assert translate(["-m", "scorer", "-d", "e1"], PLACES, NAMES, module=True) == ["e1/scorer"]
    with pytest.raises(InputError, match="DEVICE/MODULE"):
        translate(["e1", "-m", "scorer"], PLACES, NAMES, module=True)


def test_an_option_without_its_value_is_named() -> None:
    with pytest.raises(InputError, match="-d"):
        translate(["-d"], PLACES, NAMES)


@pytest.mark.parametrize(("number", "most", "text"), [(0, 0, ""), (0, 9, ""), (9, 9, "█" * BAR), (1, 320, "▏")])
def test_a_bar_is_as_long_as_its_share(number: int, most: int, text: str) -> None:
    assert bar(number, most) == text
