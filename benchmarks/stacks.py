"""How long a preview takes on a large fleet: a base and 200 layers over 100,000 edge devices.

    python -m benchmarks.stacks [--devices N] [--layers N] [--runs N]

Prints a table and writes benchmarks/results/stacks.json. The hub is made up in memory, so nothing is fetched: the time
is that of the computation alone, checks of manifests and policies included. Twins have a building, a floor, a model, a
ring and a region.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.hub_core import RESULTS
from hub_tools.manifests import Deployment, Layer, Module, Route, upstream
from hub_tools.stacks.ownership import id_of, labels_of
from hub_tools.stacks.policies import default_checks
from hub_tools.stacks.preview import Preview, compute_preview
from hub_tools.stacks.world import World

STACK, ENVIRONMENT = "bench", "prod"
BUILDINGS, FLOORS, MODELS, RINGS, REGIONS = 100, 10, 8, 5, 4
ROOM = 1_000
"""More configurations than a real hub holds, so that the limit of 100 is no finding here."""
SEED = 6

Json = dict[str, Any]
Items = dict[str, Deployment | Layer]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was previewed, what came out, and the best and the worst time of all runs."""

    name: str
    devices: int
    layers: int
    classes: int
    changed_devices: int
    best_s: float
    worst_s: float


def twins(count: int) -> tuple[Json, ...]:
    """Edge devices as the query of a preview gives them."""
    dice = random.Random(SEED)
    return tuple(
        {
            "deviceId": f"edge-{number:06}",
            "tags": {
                "building": f"B{dice.randrange(BUILDINGS)}",
                "floor": dice.randrange(FLOORS),
                "model": f"m{dice.randrange(MODELS)}",
                "ring": dice.randrange(RINGS),
                "site": {"region": f"r{dice.randrange(REGIONS)}", "room": f"room-{number}"},
            },
        }
        for number in range(count)
    )


def items(layers: int, version: str, *, broad: bool = False) -> Items:
    """A base of three modules, and layers of which every other one runs an image of this version.

    `broad` layers are for whole buildings, floors and rings, so that more of them meet on each device.
    """
    modules = [Module(name=name, image=f"acme/{name}:1.0") for name in ("sensor", "scorer", "aggregator")]
    routes = [Route(f"{module.name}Up", module.output("*") >> upstream) for module in modules]
    made: Items = {"base": Deployment(name="base", target="*", priority=10, modules=modules, routes=routes)}
    dice = random.Random(SEED)
    conditions = _broad(dice) if broad else _conditions(dice)
    for number in range(layers):
        name = f"layer_{number}"
        made[name] = _layer(name, number, next(conditions), version if number % 2 else "1.0")
    return made


def _conditions(dice: random.Random) -> Iterator[str]:
    while True:
        building, floor = dice.randrange(BUILDINGS), dice.randrange(FLOORS)
        model, region = dice.randrange(MODELS), dice.randrange(REGIONS)
        yield f"tags.building = 'B{building}'"
        yield f"tags.floor = {floor} AND tags.building IN ['B{building}', 'B{(building + 1) % BUILDINGS}']"
        yield f"tags.model = 'm{model}' AND tags.site.region = 'r{region}' AND tags.building = 'B{building}'"
        yield f"tags.building = 'B{building}' AND tags.ring > 2 AND (tags.model = 'm{model}' OR tags.model = 'm0')"


def _broad(dice: random.Random) -> Iterator[str]:
    while True:
        for _ in range(8):
            yield f"tags.building = 'B{dice.randrange(BUILDINGS)}'"
        yield f"tags.floor = {dice.randrange(FLOORS)}"
        yield f"tags.ring = {dice.randrange(RINGS)}"


def _layer(name: str, number: int, condition: str, version: str) -> Layer:
    extra = Module(
        name=f"extra{number}", image=f"acme/extra:{version}", ports={80: 8000 + number}, desired={"n": number}
    )
    return Layer(
        name=name,
        target=condition,
        priority=20 + 2 * number,
        modules=[extra],
        routes=[Route(f"extra{number}Up", extra.output("*") >> upstream)],
        settings={"scorer": {"threshold": number / 100}},
    )


def held(made: Items) -> tuple[Json, ...]:
    """The stack as a hub holds it after it was applied."""
    return tuple(
        {
            **item.to_configuration(),
            "id": id_of(STACK, ENVIRONMENT, name, 1),
            "labels": labels_of(STACK, ENVIRONMENT, item, 1),
            "etag": "1",
            "createdTimeUtc": f"2026-01-01T00:00:{number % 60:02}Z",
        }
        for number, (name, item) in enumerate(made.items())
    )


def measure(name: str, made: Items, world: World, runs: int) -> Row:
    """Previews the same several times."""
    times: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        found: Preview = compute_preview(STACK, ENVIRONMENT, made, world, checks=default_checks(), limit=ROOM)
        times.append(time.perf_counter() - started)
    return Row(
        name=name,
        devices=found.devices,
        layers=len(made) - 1,
        classes=len(found.classes),
        changed_devices=found.changed_devices,
        best_s=min(times),
        worst_s=max(times),
    )


def run(devices: int, layers: int, runs: int) -> list[Row]:
    """A new stack, an unchanged one, and one in which every other layer gets another image."""
    fleet, present = twins(devices), items(layers, "1.0")
    empty = World(host_name="made-up", configurations=(), twins=fleet)
    full = World(host_name="made-up", configurations=held(present), twins=fleet)
    broad = World(host_name="made-up", configurations=held(items(layers, "1.0", broad=True)), twins=fleet)
    return [
        measure("nothing there yet", present, empty, runs),
        measure("nothing changes", present, full, runs),
        measure("half of the layers change", items(layers, "2.0"), full, runs),
        measure("the same with broad layers", items(layers, "2.0", broad=True), broad, runs),
    ]


def main() -> None:
    """Runs it all and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows = run(options.devices, options.layers, options.runs)
    print("| | devices | layers | classes | devices that change | best s | worst s |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.name} | {row.devices:,} | {row.layers} | {row.classes:,} | {row.changed_devices:,} "
            f"| {row.best_s:.1f} | {row.worst_s:.1f} |"
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "stacks.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
