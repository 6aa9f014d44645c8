"""The route languages of IoT Edge and IoT Hub: compiled once per route, evaluated per message, with no I/O.

`parser` holds the grammar, `operators` and `functions` the types and the evaluation, `message` what a message is, `hub`
what IoT Hub's conditions do not share with those of an edge hub.
"""

from __future__ import annotations

from iot_core.routing.hub import HubCondition, compile_hub_condition, hub_system_properties
from iot_core.routing.message import (
    EDGE_SYSTEM_NAMES,
    TWIN_CHANGE_SOURCE,
    RoutedMessage,
    edge_system_properties,
    message_source,
)
from iot_core.routing.parser import ParsedCondition, ParsedRoute, parse_condition, parse_route
from iot_core.routing.route import ModuleInput, Route, Sink, Upstream, compile_route, evaluate, source_matches
from iot_core.routing.values import UNDEFINED, RouteSyntaxError, Truth, Undefined

__all__ = [
    "EDGE_SYSTEM_NAMES",
    "TWIN_CHANGE_SOURCE",
    "UNDEFINED",
    "HubCondition",
    "ModuleInput",
    "ParsedCondition",
    "ParsedRoute",
    "Route",
    "RouteSyntaxError",
    "RoutedMessage",
    "Sink",
    "Truth",
    "Undefined",
    "Upstream",
    "compile_hub_condition",
    "compile_route",
    "edge_system_properties",
    "evaluate",
    "hub_system_properties",
    "message_source",
    "parse_condition",
    "parse_route",
    "source_matches",
]
