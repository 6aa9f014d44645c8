"""`edgeyard hub clock | fault | log | snapshot | reset`, against an admin door that writes down what it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from edgeyard.cli import hub_controls
from edgeyard.cli.exits import DONE, WRONG_USE
from edgeyard.cli.hub_controls import Fault, seconds_of
from edgeyard.cli.main import run
from iot_core.errors import InputError
from local_hub.controls.faults import FaultKind

ANSWERS: dict[tuple[str, str], Any] = {
    ("GET", "/faults"): [{"kind": "delay", "device": None, "rate": 0.5, "delayMs": 20, "ends": None}],
    ("DELETE", "/faults"): {"cleared": 2},
    ("GET", "/snapshots"): [{"name": "one", "saved": "2026-01-01T00:00:00.0000000Z", "size": 4096}],
    ("GET", "/log"): [
        {
            "time": "2026-01-01T00:00:00.1234567Z",
            "until": "2026-01-01T00:00:09.0000000Z",
            "door": "MQTT",
            "direction": "in",
            "identity": "d1",
            "what": "telemetry",
            "size": 1000,
            "count": 9,
            "result": "taken",
        }
    ],
}
CLOCK = {"now": "2026-01-01T01:00:00.0000000Z", "offsetSeconds": 3600, "tokensOffsetSeconds": 0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """The requests, as verb, path, and query or body."""
    requests = list[tuple[str, str, Any]]()

    class Door:
        @classmethod
        def of(cls, _home: object) -> Door:
            return cls()

        async def __aenter__(self) -> Door:
            return self

        async def __aexit__(self, *_exception: object) -> None:
            """Nothing is open."""

        async def call(self, verb: str, path: str, query: Any = None, *, body: Any = None) -> Any:
            requests.append((verb, path, query or body))
            return CLOCK if path == "/clock" else ANSWERS.get((verb, path), {})

    monkeypatch.setattr(hub_controls, "AdminDoor", Door)
    return requests


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h", 3600), ("1h30m", 5400), ("250ms", 0.25), ("1.5d", 129_600), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "-5s", "5 s", "1h 5m", "1w", "5sx"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a duration"):
        seconds_of(text)


def test_the_commands_know_every_fault() -> None:
    assert [fault.value for fault in Fault] == [kind.value for kind in FaultKind]


@pytest.mark.parametrize(
    ("line", "request_made"),
    [
        ("clock show", ("GET", "/clock", None)),
        ("clock advance 1h --tokens", ("POST", "/clock", {"advanceSeconds": 3600.0, "tokens": True})),
        ("clock reset", ("DELETE", "/clock", None)),
        (
            "fault add drop --device d1 --rate 0.1 --for 30s",
            ("POST", "/faults", {"kind": "drop", "device": "d1", "rate": 0.1, "forSeconds": 30.0}),
        ),
        (
            "fault add delay 250ms --all",
            ("POST", "/faults", {"kind": "delay", "device": None, "rate": 1.0, "delayMs": 250.0}),
        ),
        ("fault clear --device d1", ("DELETE", "/faults", {"device": "d1"})),
        ("log -n 5 --device d1", ("GET", "/log", {"last": "5", "device": "d1"})),
        ("snapshot save one", ("POST", "/snapshots", {"name": "one"})),
        ("snapshot restore one", ("POST", "/snapshots/restore", {"name": "one"})),
        ("snapshot delete one", ("DELETE", "/snapshots", {"name": "one"})),
        ("reset --yes --keys", ("POST", "/reset", {"keys": True})),
    ],
)
def test_each_command_asks_the_door_once(
    asked: list[tuple[str, str, Any]], line: str, request_made: tuple[str, str, Any]
) -> None:
    assert run(["hub", *line.split()]) == DONE
    assert asked == [request_made]


@pytest.mark.parametrize("line", ["fault add drop", "fault add drop --all --device d", "clock advance soon"])
def test_wrong_use_asks_nothing(asked: list[tuple[str, str, Any]], line: str) -> None:
    assert run(["hub", *line.split()]) == WRONG_USE
    assert asked == []


def test_what_is_printed(asked: list[tuple[str, str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("clock show", "fault list", "snapshot list", "log"):
        assert run(["hub", *line.split()]) == DONE
    printed = " ".join(capsys.readouterr().out.split())
    assert "ahead 3600 s" in printed
    assert "delay all 0.5 20" in printed
    assert "one 2026-01-01T00:00:00.0000000Z 4096" in printed
    assert "00:00:00.123 MQTT in d1 telemetry 9 1000 taken" in printed
    assert len(asked) == 4
