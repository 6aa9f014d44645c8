from __future__ import annotations

import subprocess
import sys

import pytest

from modules.sentiment_container.licence import LicenceError, read_licence
from modules.sentiment_container.main import parse_options

KEY = "0123456789abcdef"
GOOD = {"Eula": "accept", "Billing": "https://westus.example/", "ApiKey": KEY}


@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_names_are_read_in_any_case_from_arguments_and_environment(change: type[str]) -> None:
    named = {change(name): value for name, value in GOOD.items()}
    assert read_licence([], named).api_key == KEY
    assert read_licence([f"{name}={value}" for name, value in named.items()], {}).api_key == KEY


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Eula", "", "Eula=accept"),
        ("Eula", "yes", "Eula=accept"),
        ("Billing", "", "Billing"),
        ("Billing", "westus", "Billing"),
        ("ApiKey", " ", "ApiKey"),
    ],
)
def test_without_any_of_the_three_it_does_not_start(name: str, value: str, reason: str) -> None:
    with pytest.raises(LicenceError, match=reason) as caught:
        read_licence([], {**GOOD, name: value})
    assert KEY not in str(caught.value)


def test_arguments_win_and_the_key_is_never_shown() -> None:
    options = parse_options(["Eula=accept", "--port", "5010"], {**GOOD, "Eula": "no", "SENTIMENT_PORT": "1"})
    assert options.port == 5010
    assert KEY not in repr(options)


def test_the_program_says_why_and_ends_with_2() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "modules.sentiment_container"], capture_output=True, text=True, env={}, check=False
    )
    assert (ended.returncode, ended.stderr) == (2, "error: the licence is not accepted: set Eula=accept\n")
