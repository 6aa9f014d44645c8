"""Controls of the running local hub that no real hub has: clock, faults, traffic log, snapshots, reset."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.admin import AdminDoor
from edgeyard.cli.hubs import HomeOption, home_folder, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table
from iot_core.errors import InputError

__all__ = ["clock_app", "fault_app", "log", "reset", "seconds_of", "snapshot_app"]

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


class Fault(StrEnum):
    """What can go wrong on purpose."""

    DROP = "drop"
    UNANSWERED = "unanswered"
    STALL = "stall"
    DELAY = "delay"
    REFUSE = "refuse"
    THROTTLE = "throttle"
    DISCONNECT = "disconnect"
    TAKEOVER = "takeover"


clock_app = typer.Typer(no_args_is_help=True, help="The clock of the running local hub.")
fault_app = typer.Typer(no_args_is_help=True, help="Faults of the running local hub, for one device or all.")
snapshot_app = typer.Typer(no_args_is_help=True, help="Snapshots of the local hub's data.")


def seconds_of(text: str) -> float:
    """The seconds of "90s", "1h30m" or "250ms"; InputError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise InputError(f"{text!r} is not a duration: write it like 30s, 5m, 1h30m or 250ms")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


@clock_app.command("show")
def show_clock(home: HomeOption = None, output: OutputOption = Output.TABLE) -> None:
    """Print the time of the hub and how far it is ahead.

    Example: edgeyard hub clock show
    """
    _print_clock(_call(home, "GET", "/clock"), output)


@clock_app.command()
def advance(
    duration: Annotated[str, typer.Argument(metavar="DURATION", help="Such as 90s, 1h or 1h30m.")],
    home: HomeOption = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="Tokens and certificates age too.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Set the hub's clock ahead: jobs, expiry, locks, retention and the cadence of configurations follow at once.

    Example: edgeyard hub clock advance 1h
    """
    body = {"advanceSeconds": seconds_of(duration), "tokens": tokens}
    _print_clock(_call(home, "POST", "/clock", body=body), output)


@clock_app.command("reset")
def reset_clock(home: HomeOption = None, output: OutputOption = Output.TABLE) -> None:
    """Set the hub's clock to the machine's time again.

    Example: edgeyard hub clock reset
    """
    _print_clock(_call(home, "DELETE", "/clock"), output)


@fault_app.command("add")
def add_fault(
    kind: Annotated[Fault, typer.Argument(help="What goes wrong.", show_default=False)],
    delay: Annotated[str | None, typer.Argument(metavar="[DELAY]", help="Of delay, such as 250ms.")] = None,
    device: Annotated[str | None, typer.Option(help="The device; its modules too.", show_default=False)] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="All devices, and services.")] = False,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Ends by itself.", show_default=False)
    ] = None,
    rate: Annotated[float, typer.Option(help="Share of the cases in which it strikes.")] = 1.0,
    home: HomeOption = None,
) -> None:
    """Let something go wrong until `fault clear`.

    drop: messages vanish. unanswered: over HTTPS, what was asked for is done and no answer comes. stall: no answers.
    delay: late ones. refuse: no log-ins. throttle: 429. disconnect and takeover: connections end at once, and with
    --for again and again.

    Example: edgeyard hub fault add --device thermostat-1 drop --rate 0.1 --for 30s
    """
    if (device is None) != everywhere:
        raise InputError("hub fault add needs either --device DEVICE or --all")
    body: dict[str, Any] = {"kind": kind.value, "device": device, "rate": rate}
    if delay is not None:
        body["delayMs"] = seconds_of(delay) * 1000
    if lasting is not None:
        body["forSeconds"] = seconds_of(lasting)
    _call(home, "POST", "/faults", body=body)


@fault_app.command("list")
def list_faults(home: HomeOption = None, output: OutputOption = Output.TABLE) -> None:
    """Print the faults that stand.

    Example: edgeyard hub fault list
    """
    faults = _call(home, "GET", "/faults")
    if output is Output.JSON:
        print_json(faults)
        return
    rows = [
        (fault["kind"], fault["device"] or "all", fault["rate"], fault.get("delayMs", ""), fault["ends"] or "")
        for fault in faults
    ]
    print_table(("FAULT", "DEVICE", "RATE", "DELAY MS", "ENDS"), rows)


@fault_app.command("clear")
def clear_faults(
    device: Annotated[str | None, typer.Option(help="Only those of this device.", show_default=False)] = None,
    home: HomeOption = None,
) -> None:
    """Take faults back.

    Example: edgeyard hub fault clear
    """
    cleared = _call(home, "DELETE", "/faults", query={"device": device} if device else {})["cleared"]
    print_note(f"{cleared} faults taken back")


def log(
    device: Annotated[str | None, typer.Option(help="Only what concerns this device.", show_default=False)] = None,
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="How many lines.")] = 50,
    home: HomeOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print what came to the local hub and left it lately; like things in a row share a line.

    Example: edgeyard hub log --device thermostat-1 -n 20
    """
    lines = _call(home, "GET", "/log", query={"last": str(last)} | ({"device": device} if device else {}))
    if output is Output.JSON:
        print_json(lines)
        return
    columns = ("door", "direction", "identity", "what", "count", "size", "result")
    rows = [(line["time"][11:23], *(line[name] for name in columns)) for line in lines]
    print_table(("TIME", "DOOR", "", "IDENTITY", "WHAT", "TIMES", "BYTES", "RESULT"), rows)


@snapshot_app.command()
def save(name: str, home: HomeOption = None) -> None:
    """Keep the hub's data as it is now, while it runs.

    Example: edgeyard hub snapshot save before-rollout
    """
    _call(home, "POST", "/snapshots", body={"name": name})


@snapshot_app.command()
def restore(name: str, home: HomeOption = None) -> None:
    """Have the hub go on with the data of a snapshot: connections end, ports stay open, the process stays.

    Example: edgeyard hub snapshot restore before-rollout
    """
    _call(home, "POST", "/snapshots/restore", body={"name": name})


@snapshot_app.command("list")
def list_snapshots(home: HomeOption = None, output: OutputOption = Output.TABLE) -> None:
    """Print the snapshots.

    Example: edgeyard hub snapshot list
    """
    snapshots = _call(home, "GET", "/snapshots")
    if output is Output.JSON:
        print_json(snapshots)
    else:
        rows = [(found["name"], found["saved"], found["size"]) for found in snapshots]
        print_table(("NAME", "SAVED", "BYTES"), rows)


@snapshot_app.command()
def delete(name: str, home: HomeOption = None) -> None:
    """Remove a snapshot.

    Example: edgeyard hub snapshot delete before-rollout
    """
    _call(home, "DELETE", "/snapshots", query={"name": name})


def reset(
    home: HomeOption = None,
    keys: Annotated[bool, typer.Option("--keys", help="New keys of policies and new certificates too.")] = False,
    yes: YesOption = False,
) -> None:
    """Empty the running local hub: devices, twins, jobs, messages, events. Snapshots stay, and keys unless --keys.

    Example: edgeyard hub reset --yes
    """
    folder = home_folder(home)
    if not yes and not typer.confirm(f"This removes everything that the local hub in {folder} holds. Go on?", err=True):
        print_note("Nothing was changed.")
        raise typer.Exit(1)
    _call(home, "POST", "/reset", body={"keys": keys})


def _print_clock(clock: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        print_json(clock)
    else:
        rows = [
            ("time", clock["now"]),
            ("ahead", f"{clock['offsetSeconds']:g} s"),
            ("tokens ahead", f"{clock['tokensOffsetSeconds']:g} s"),
        ]
        print_table(("WHAT", "VALUE"), rows)


def _call(
    home: Path | None, verb: str, path: str, *, query: dict[str, str] | None = None, body: dict[str, Any] | None = None
) -> Any:
    async def ask() -> Any:
        async with AdminDoor.of(home_folder(home)) as door:
            return await door.call(verb, path, query, body=body)

    return run_async(ask())
