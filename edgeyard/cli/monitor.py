"""`edgeyard monitor`: what arrives at a hub's built-in endpoint, as it arrives."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, find_hub, run_async
from edgeyard.cli.render import Output, print_note
from hub_tools.monitor import DEFAULT_GROUP, OWN_GROUP, NoConsumerGroupError, watch

__all__ = ["monitor"]


def monitor(
    device: Annotated[str | None, typer.Option(help="Only events of this device.", show_default=False)] = None,
    consumer_group: Annotated[
        str | None,
        typer.Option(help=f"Read in this group. Default: {OWN_GROUP}, else {DEFAULT_GROUP}.", show_default=False),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.", show_default=False)] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="One line an event, as text or JSON.")
    ] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Print telemetry and other events of any hub, as they arrive at its built-in endpoint, until Ctrl-C.

    Never takes a partition from another reader.

    Example: edgeyard monitor --device thermostat-1 --output json
    """
    run_async(_monitor(find_hub(hub, home=home), consumer_group, device, count, output))


async def _monitor(target: TargetHub, group: str | None, device: str | None, count: int | None, output: Output) -> None:
    try:
        await _print_events(target, group or OWN_GROUP, device, count, output)
    except NoConsumerGroupError:
        if group is not None:
            raise
        print_note(f"The hub has no consumer group {OWN_GROUP}, so {DEFAULT_GROUP} is read, as one of five readers.")
        await _print_events(target, DEFAULT_GROUP, device, count, output)


async def _print_events(target: TargetHub, group: str, device: str | None, count: int | None, output: Output) -> None:
    async with watch(target.connection_string, ca_file=target.ca_file, group=group) as events:
        print_note(f"Watching {target.host_name} in {group}; Ctrl-C ends it.")
        left = count
        async for event in events:
            if device is not None and event["deviceId"] != device:
                continue
            print(json.dumps(event, ensure_ascii=False) if output is Output.JSON else _line(event), flush=True)
            if left is not None and (left := left - 1) == 0:
                return


def _line(event: dict[str, Any]) -> str:
    who = "/".join(filter(None, (event["deviceId"], event.get("moduleId"))))
    body = event["body"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return f"{event['time'][11:23]}  {event['source']:<27} {who:<24} {text}"
