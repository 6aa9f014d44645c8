"""The rules as a table, and the two ways to put a document through them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from iot_core.json_types import JsonObject
from iot_core.manifest.envelope import DESIRED
from iot_core.manifest.findings import Finding
from iot_core.manifest.layers import Deployment, merge_layers
from iot_core.manifest.validation import bounds, conditions, containers, layering, ports, routes, shape, variables
from iot_core.manifest.validation.notes import Note, error, warning
from iot_core.manifest.validation.reading import Kind, Reading, read_document

__all__ = ["RULES", "LayerDocument", "Rule", "check_layers", "check_manifest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule: its id, what it is about, and the function that finds what breaks it."""

    id: str
    about: str
    check: Callable[[Reading], Iterator[Note]]


RULES = (
    Rule(id="V01", about="envelope, system entries, schema versions, form of every entry", check=shape.form),
    Rule(id="V02", about="what needs schema 1.1", check=shape.schema_features),
    Rule(id="V03", about="createOptions: text, chunks, JSON", check=containers.option_chunks),
    Rule(id="V04", about="host ports taken twice", check=ports.host_ports),
    Rule(id="V05", about="shape of container options", check=containers.option_shapes),
    Rule(id="V06", about="host network", check=containers.host_network),
    Rule(id="V07", about="the engine's own restart policy", check=containers.restart_policy_of_docker),
    Rule(id="V08", about="names and limits", check=bounds.names_and_limits),
    Rule(id="V09", about="routes compile and lead somewhere", check=routes.routes_compile_and_lead_somewhere),
    Rule(id="V10", about="conditions that are read otherwise", check=conditions.glued_operators),
    Rule(id="V11", about="conditions on the body", check=conditions.body_conditions),
    Rule(id="V12", about="sources, loops, twin changes", check=routes.sources_and_loops),
    Rule(id="V13", about="times to live", check=routes.times_to_live),
    Rule(id="V14", about="layers", check=layering.layer_rules),
    Rule(id="V15", about="image tags", check=containers.images),
    Rule(id="V16", about="variables left over", check=variables.left_over_variables),
    Rule(id="V17", about="restart policy on-unhealthy", check=containers.unhealthy),
)

_LAYERS = "V14"


def check_manifest(
    document: Any,
    *,
    kind: Kind | None = None,
    elsewhere: Collection[str] | None = (),
    inputs: Mapping[str, Collection[str]] | None = None,
    outputs: Mapping[str, Collection[str]] | None = None,
) -> list[Finding]:
    """Every finding on a base, a layer, or what several deployments make of one device; never raises.

    `document` is `{"modulesContent": …}`, in any of its envelopes, or whatever stands in its place. `kind` says what it
    is meant to be; otherwise it is a layer if it is written as one. Routes are held against the modules of the
    document and those `elsewhere`; None, and a layer by itself, leaves that out, as nobody knows what lies below.
    `inputs` and `outputs` name those of modules, as far as they are known: the ports of other modules pass.
    """
    reading = read_document(document, kind=kind, elsewhere=elsewhere, inputs=inputs, outputs=outputs)
    if reading.kind == "layer" and elsewhere == ():
        reading = replace(reading, elsewhere=None)
    return _findings(reading)


def _findings(reading: Reading) -> list[Finding]:
    found = (_finding(rule.id, note) for rule in RULES for note in rule.check(reading))
    return list(dict.fromkeys(found))


def _finding(rule: str, note: Note) -> Finding:
    return Finding(rule=rule, severity=note.severity, path=note.path, message=note.message, fix=note.fix)


@dataclass(frozen=True, kw_only=True)
class LayerDocument:
    """A deployment of a set: its name, its document, and its priority where it has one."""

    name: str
    document: Any
    priority: int | None = None


def check_layers(
    documents: Sequence[LayerDocument],
    *,
    inputs: Mapping[str, Collection[str]] | None = None,
    outputs: Mapping[str, Collection[str]] | None = None,
) -> list[tuple[str, Finding]]:
    """Every finding on deployments that meet on one device, each with the name of its document; "" for those that only
    all together have: host ports, routes and limits of the whole, and V14 of the set.

    Documents without a priority rank in the order given, above those before. Never raises.
    """
    readings = {item.name: read_document(item.document, elsewhere=None) for item in documents}
    found = [(name, finding) for name, reading in readings.items() for finding in _findings(reading)]
    ranked = _ranked(documents)
    found += [("", _finding(_LAYERS, note)) for note in _set_rules(ranked, readings)]
    merged = _merged(ranked, readings)
    if merged is not None:
        seen = {(finding.rule, finding.path, finding.message) for _, finding in found}
        whole = check_manifest(merged, kind="base", inputs=inputs, outputs=outputs)
        found += [("", finding) for finding in whole if (finding.rule, finding.path, finding.message) not in seen]
    return found


def _ranked(documents: Iterable[LayerDocument]) -> list[LayerDocument]:
    ranked: list[LayerDocument] = []
    for item in documents:
        above = ranked[-1].priority + 1 if ranked and ranked[-1].priority is not None else 0
        ranked.append(replace(item, priority=above if item.priority is None else item.priority))
    return ranked


def _set_rules(ranked: Sequence[LayerDocument], readings: Mapping[str, Reading]) -> Iterator[Note]:
    bases = [item for item in ranked if readings[item.name].kind == "base"]
    layers = sorted((item for item in ranked if item not in bases), key=lambda item: item.priority or 0)
    if not bases:
        yield error("deployments", "none of them is a base, so nothing is applied", "Give the base too")
        return
    top = max(item.priority or 0 for item in bases)
    if len(bases) > 1:
        names = ", ".join(item.name for item in bases)
        yield warning("deployments", f"several are bases, of which one runs: {names}", "Make layers of the others")
    for item in layers:
        if (item.priority or 0) <= top:
            fix = f"Give it a priority above {top}"
            yield error(f"{item.name}.priority", "is not above the base's, so the layer is not applied", fix)
    for low, high in pairwise(layers):
        if low.priority == high.priority:
            message = f"is the same as that of {low.name}: where they meet, which one wins is not certain"
            yield warning(f"{high.name}.priority", message, "Give them different priorities")


def _merged(ranked: Sequence[LayerDocument], readings: Mapping[str, Reading]) -> JsonObject | None:
    """What could be read of all of them, merged; None where there is no base."""
    deployments = [
        Deployment(
            name=item.name,
            priority=item.priority or 0,
            created=order,
            modules=_sections(readings[item.name]),
        )
        for order, item in enumerate(ranked)
    ]
    if not any(item.is_base for item in deployments):
        return None
    return merge_layers(deployments).modules_content()


def _sections(reading: Reading) -> JsonObject:
    sections: JsonObject = {}
    for part in reading.parts:
        sections.setdefault(part.module, {})[".".join((DESIRED, *part.where))] = part.value
    return sections
