"""One engine with one definition, fed with short records; what stands after all corrections."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest

from iot_core.message import Message
from modules.aggregator.engine import Engine
from modules.aggregator.results import Emission
from modules.aggregator.settings import Definition

Json = dict[str, Any]
BASE: Json = {
    "window": {"type": "tumbling", "size": 10},
    "groupBy": {"m": "$body.m"},
    "timestamp": {"path": "$body.t"},
    "aggregates": {"sum": {"function": "sum", "of": "$body.v"}, "n": {"function": "count"}},
    "outOfOrderness": 0,
    "allowedLateness": 0,
    "maxAhead": 31_000_000,
}
ARRIVAL = 0


class Bench:
    """An engine and everything that it emitted; times in records are seconds."""

    def __init__(self, **changes: Any) -> None:
        self.engine = Engine()
        self.emissions: list[Emission] = []
        self._number = 0
        self.define(one=BASE | changes)

    def define(self, *, generation: str = "g1", remembered: int = 1000, **definitions: Json) -> None:
        parsed = {name: Definition.model_validate(one) for name, one in definitions.items()}
        self.engine.configure(parsed, remembered, generation=generation)

    def send(self, *records: Json, arrival: float = 0, message_id: str | None = None, **properties: str) -> None:
        """One message with these records as an array."""
        system = {} if message_id is None else {"messageId": message_id}
        self.raw(Message(orjson.dumps(list(records)), dict(properties), system), arrival=arrival)

    def raw(self, message: Message, *, arrival: float = 0) -> None:
        self.emissions += self.engine.message(self._number, round(arrival * 1_000_000), message)
        self._number += 1

    def times(self, *times: float, m: str = "a", v: float = 1) -> None:
        """One message for each time."""
        for time in times:
            self.send({"t": time, "m": m, "v": v})

    def silence(self, now: float, since: float = 0) -> None:
        args = (round(now * 1_000_000), round(since * 1_000_000))
        due = self.engine.is_due(*args)
        emitted = self.engine.silence(*args)
        assert due == bool(emitted)
        self.emissions += emitted

    def restart(self) -> None:
        state = orjson.loads(orjson.dumps(self.engine.dump()))
        self.engine = Engine()
        self.engine.load(state)

    def on(self, output: str) -> list[Json]:
        return [emission.document for emission in self.emissions if emission.output == output]

    @property
    def results(self) -> list[Json]:
        return self.on("results")

    @property
    def sums(self) -> list[tuple[str, float | None]]:
        """(end of the window in short, sum) of each result."""
        return [(short(result["window"]["end"]), result["values"]["sum"]) for result in self.results]

    def counts(self, name: str = "one") -> Any:
        return self.engine.aggregations[name].counts


def short(time: str) -> str:
    """Minutes and seconds of a time, without zeros at its end."""
    return time[14:-1].rstrip("0").rstrip(".")


def standing(results: Iterable[Json]) -> dict[tuple[str, str, str], Json]:
    """What a consumer holds in the end: results by window and group, without those that another supersedes."""
    held: dict[str, Json] = {}
    for result in results:
        for superseded in result["supersedes"]:
            del held[superseded]
        assert result["id"] not in held
        held[result["id"]] = result
    window = {(r["window"]["start"], r["window"]["end"], str(r["group"])): r["values"] for r in held.values()}
    assert len(window) == len(held)
    return window


@pytest.fixture(scope="session")
def bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture(scope="session")
def stands() -> Callable[[Iterable[Json]], dict[tuple[str, str, str], Json]]:
    return standing
