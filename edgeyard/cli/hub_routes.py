"""`edgeyard hub routes`: the message routing of the running local hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.admin import AdminDoor
from edgeyard.cli.hubs import HomeOption, home_folder, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table
from iot_core.errors import InputError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Message routes, endpoints and enrichments of the local hub.")

Json = dict[str, Any]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")]
SourceOption = Annotated[
    str,
    typer.Option(help="DeviceMessages, TwinChangeEvents, DeviceLifecycleEvents or DeviceConnectionStateEvents."),
]
ConditionOption = Annotated[str, typer.Option(help="Which messages, as in IoT Hub's routing queries.")]


@app.command("list")
def list_routes(home: HomeOption = None, output: OutputOption = Output.TABLE) -> None:
    """Print routes, endpoints and enrichments; as JSON it is what `apply` takes.

    Example: edgeyard hub routes list --output json
    """
    routing = run_async(_call(home, "GET", "/routing"))
    settings = routing["settings"]
    if output is Output.JSON:
        print_json(settings)
        return
    routes = [*settings["routes"], settings["fallbackRoute"]]
    columns = ("ROUTE", "SOURCE", "CONDITION", "ENDPOINTS", "ENABLED")
    print_table(columns, [_route_row(route) for route in routes])
    if routing["endpoints"]:
        rows = [_endpoint_row(settings, name, state) for name, state in routing["endpoints"].items()]
        print_table(("ENDPOINT", "TO", "WAITING", "DELIVERED", "GIVEN UP", "LAST ERROR"), rows)
    if settings["enrichments"]:
        rows = [(each["key"], each["value"], " ".join(each["endpointNames"])) for each in settings["enrichments"]]
        print_table(("ENRICHMENT", "VALUE", "ENDPOINTS"), rows)


@app.command()
def add(
    name: str,
    to: Annotated[list[str], typer.Option("--to", help="Endpoint: events, or one of your own; may be repeated.")],
    source: SourceOption = "DeviceMessages",
    condition: ConditionOption = "true",
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Make --to a new webhook endpoint.", show_default=False)
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Make --to a new file endpoint.", show_default=False)
    ] = None,
    home: HomeOption = None,
) -> None:
    """Add a route; with --webhook or --file its endpoint too.

    Example: edgeyard hub routes add hot --condition "$body.temperature > 30" --to log --file hot.ndjson
    """
    if (webhook is not None) + (file is not None) > 1 or ((webhook or file) and len(to) != 1):
        raise InputError("hub routes add takes one of --webhook and --file, and then one --to")

    def change(settings: Json) -> None:
        if webhook is not None:
            settings["endpoints"]["webhooks"].append({"name": to[0], "url": webhook})
        if file is not None:
            settings["endpoints"]["files"].append({"name": to[0], "path": str(Path(file).absolute())})
        route = {"name": name, "source": source, "condition": condition, "endpointNames": to, "isEnabled": True}
        settings["routes"].append(route)

    run_async(_change(home, change))


@app.command()
def remove(
    name: str,
    endpoint: Annotated[bool, typer.Option("--endpoint", help="NAME is an endpoint that no route uses.")] = False,
    home: HomeOption = None,
) -> None:
    """Remove a route or, with what waits for it, an endpoint.

    Example: edgeyard hub routes remove hot
    """

    def change(settings: Json) -> None:
        lists = settings["endpoints"] if endpoint else {"routes": settings["routes"]}
        found = [items for items in lists.values() for item in items if item["name"].lower() == name.lower()]
        if not found:
            raise InputError(f"there is no {'endpoint' if endpoint else 'route'} {name}: see edgeyard hub routes list")
        found[0][:] = [item for item in found[0] if item["name"].lower() != name.lower()]

    run_async(_change(home, change))


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="JSON, as `list --output json` prints it.")], home: HomeOption = None
) -> None:
    """Replace all routes, endpoints and enrichments by those of a file.

    Example: edgeyard hub routes apply routing.json
    """
    run_async(_call(home, "PUT", "/routing", _read(file)))


@app.command("test")
def try_message(
    condition: Annotated[str | None, typer.Option(help="Test this condition instead.", show_default=False)] = None,
    body: Annotated[str, typer.Option(help="The message's body; JSON where --json says so.")] = "",
    is_json: Annotated[bool, typer.Option("--json", help="The body is application/json in utf-8.")] = False,
    prop: Annotated[
        list[str] | None, typer.Option(help="Application property NAME=VALUE; may be repeated.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="The device that sends it.")] = "test",
    source: SourceOption = "DeviceMessages",
    home: HomeOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the endpoints that a message would go to, or whether a condition takes it.

    Example: edgeyard hub routes test --condition "as_number(severity) <= 2" --prop severity=1
    """
    kinds = {"contentType": "application/json", "contentEncoding": "utf-8"} if is_json else {}
    message_source = "Telemetry" if source == "DeviceMessages" else source[:1].lower() + source[1:]
    message = {
        "deviceId": device,
        "source": message_source,
        "properties": dict(map(_pair, prop or [])),
        "systemProperties": kinds,
        "body": body,
    }
    route = {"name": "test", "source": source, "condition": condition, "endpointNames": ["events"]}
    asked: Json = {"message": message} | ({} if condition is None else {"route": route})
    answer = run_async(_call(home, "POST", "/routing/test", asked))
    if output is Output.JSON:
        print_json(answer)
    elif condition is None:
        print_table(("ENDPOINT",), [(name,) for name in answer["endpointNames"]])
    else:
        print("true" if answer["matches"] else "false")


async def _call(home: Path | None, verb: str, path: str, body: Json | None = None) -> Any:
    async with AdminDoor.of(home_folder(home)) as door:
        return await door.call(verb, path, body=body)


async def _change(home: Path | None, change: Any) -> None:
    async with AdminDoor.of(home_folder(home)) as door:
        settings = (await door.call("GET", "/routing"))["settings"]
        change(settings)
        await door.call("PUT", "/routing", body=settings)
    print_note("the hub routes by the new settings")


def _route_row(route: Json) -> tuple[object, ...]:
    enabled = "yes" if route["isEnabled"] else "no"
    return route["name"], route["source"], route["condition"], " ".join(route["endpointNames"]), enabled


def _endpoint_row(settings: Json, name: str, state: Json) -> tuple[object, ...]:
    known = [*settings["endpoints"]["webhooks"], *settings["endpoints"]["files"]]
    where = next((each.get("url") or each.get("path") for each in known if each["name"] == name), "")
    return name, where, state["waiting"], state["delivered"], state["givenUp"], state["lastError"] or ""


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"--prop takes NAME=VALUE, not {text[:60]!r}")
    return name, value


def _read(file: Path) -> Json:
    try:
        value = json.loads(file.read_text())
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from error
    return dict(value) if isinstance(value, dict) else {"routing": value}
