"""V09, V12 and V13: routes that do not compile, lead nowhere or in a circle, and how long messages are kept.

Sources: IoT Edge documentation, "Learn how to deploy modules and establish routes in IoT Edge" and "Understand extended
offline capabilities"; IoT Edge source, edge-hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from iot_core.manifest.envelope import DESIRED, HUB
from iot_core.manifest.validation.conditions import explanations
from iot_core.manifest.validation.notes import Note, error, info, warning
from iot_core.manifest.validation.reading import Reading, RouteEntry, as_object
from iot_core.routing import ModuleInput, ParsedRoute, Route, RouteSyntaxError, Upstream, source_matches

__all__ = ["routes_compile_and_lead_somewhere", "sources_and_loops", "times_to_live"]

CLEANUP_INTERVAL_S = 1800
"""How often the edge hub removes what has expired (its MessageCleanupIntervalSecs, where nothing else is set)."""

_MESSAGES = "/messages"
_FROM_MODULE = ("messages", "modules")


def routes_compile_and_lead_somewhere(reading: Reading) -> Iterator[Note]:
    """V09: each route compiles, and its modules, inputs and outputs exist as far as that is known."""
    for route in reading.routes:
        if isinstance(route.parsed, RouteSyntaxError):
            yield error(route.path, str(route.parsed), "Write FROM /messages/… [WHERE …] INTO $upstream or an endpoint")
        elif isinstance(route.compiled, RouteSyntaxError):
            if not any(explanations(route)):
                yield error(route.path, str(route.compiled), "Put the condition right: this route would be dropped")
        elif route.compiled is not None:
            yield from _ignored(route, route.compiled)
            yield from _sink(reading, route, route.compiled)
            yield from _source(reading, route, route.compiled)


def _ignored(route: RouteEntry, compiled: Route) -> Iterator[Note]:
    if compiled.ignored_text.strip():
        message = f"{compiled.ignored_text.strip()[:60]!r} behind the sink has no effect"
        yield warning(route.path, message, "A condition stands before INTO: FROM … WHERE … INTO …")


def _sink(reading: Reading, route: RouteEntry, compiled: Route) -> Iterator[Note]:
    sink = compiled.sink
    if not isinstance(sink, ModuleInput):
        return
    address = route.parsed.endpoint if isinstance(route.parsed, ParsedRoute) else None
    words = (address or "").strip("/").split("/")[::2]
    if words != ["modules", "inputs"]:
        message = f"the endpoint {address!r} does not say modules and inputs"
        yield warning(route.path, message, f"Write /modules/{sink.module}/inputs/{sink.input}")
    if reading.elsewhere is not None and sink.module not in reading.module_names:
        hint = _nearest(sink.module, reading.module_names)
        yield error(route.path, f"leads to the module {sink.module}, which is not in the deployment", f"{hint}")
    else:
        yield from _port(route, "input", sink.module, sink.input, reading.inputs)


def _source(reading: Reading, route: RouteEntry, compiled: Route) -> Iterator[Note]:
    items = compiled.source.strip("/").split("/")
    if tuple(item.lower() for item in items[:2]) != _FROM_MODULE or len(items) < 3 or "*" in items[2]:
        return
    module = items[2]
    if reading.elsewhere is not None and module.lower() not in {name.lower() for name in reading.module_names}:
        hint = _nearest(module, reading.module_names)
        yield warning(route.path, f"takes messages of {module}, which is not in the deployment", hint)
    elif len(items) == 5 and items[3].lower() == "outputs" and "*" not in items[4]:
        yield from _port(route, "output", module, items[4], reading.outputs)


def _port(route: RouteEntry, what: str, module: str, name: str, known: Mapping[str, Any]) -> Iterator[Note]:
    """Modules whose inputs or outputs are not known pass: an image does not say what it reads."""
    if module in known and name.lower() not in {port.lower() for port in known[module]}:
        there = ", ".join(sorted(known[module])) or "none"
        yield error(route.path, f"{module} has no {what} {name}", f"It has: {there}")


def _nearest(name: str, known: frozenset[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else "Add the module, or remove the route"


def sources_and_loops(reading: Reading) -> Iterator[Note]:
    """V12: a star where it means nothing, messages that come back to where they came from, and twin changes."""
    for route in reading.routes:
        compiled = route.compiled
        if not isinstance(compiled, Route):
            continue
        if any("*" in item for item in compiled.source.rstrip("*/").split("/")):
            message = f"a * before the end of {compiled.source} stands for itself, so nothing matches"
            yield warning(route.path, message, "Name the module, or end the source at the *")
        if isinstance(compiled.sink, ModuleInput):
            yield from _loop(route, compiled, compiled.sink.module)
        elif isinstance(compiled.sink, Upstream) and compiled.source.rstrip("*/") == "":
            message = "sends changes of reported properties too, not only messages"
            yield warning(route.path, message, f"Write FROM {_MESSAGES}/* if messages are meant")


def _loop(route: RouteEntry, compiled: Route, module: str) -> Iterator[Note]:
    own = f"{_MESSAGES}/modules/{module}"
    covers = source_matches(compiled.source, own) or source_matches(own, compiled.source)
    if covers and "$connectionmoduleid" not in compiled.condition.lower():
        message = f"{compiled.source} covers what {module} sends itself: its messages may go round in a circle"
        yield warning(route.path, message, "Name the sources, or exclude it: WHERE $connectionModuleId <> '…'")


def times_to_live(reading: Reading) -> Iterator[Note]:
    """V13: times to live that keep messages longer or shorter than one may think."""
    cleanup = _cleanup_interval(reading)
    path = f"modulesContent.{HUB}.{DESIRED}.storeAndForwardConfiguration.timeToLiveSecs"
    yield from _ttl(as_object(reading.hub.get("storeAndForwardConfiguration")).get("timeToLiveSecs"), path, cleanup)
    for route in reading.routes:
        if isinstance(route.value, dict):
            yield from _ttl(route.value.get("timeToLiveSecs"), f"{route.path}.timeToLiveSecs", cleanup)


def _cleanup_interval(reading: Reading) -> int:
    """What edgeHub's own environment says, else its default."""
    hub = next((entry for entry in reading.modules if entry.system and entry.name == "edgeHub"), None)
    value = as_object(as_object(hub.value.get("env") if hub else None).get("MessageCleanupIntervalSecs")).get("value")
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else CLEANUP_INTERVAL_S


def _ttl(seconds: Any, path: str, cleanup: int) -> Iterator[Note]:
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return
    if seconds < 0:
        yield info(path, "is negative: messages never expire", "Mind the disk: an edge may be offline for long")
    elif 0 < seconds < cleanup:
        message = f"is shorter than the {cleanup} s between two cleanings, so space is freed later"
        yield info(path, message, "Set MessageCleanupIntervalSecs of edgeHub, at least 30")
