"""The aggregate functions: which parts each needs, and how its result is read from them. One table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from modules.aggregator import exact
from modules.aggregator.parts import First, Greatest, Last, Least, Part, Percentiles, Squares, Tally, Total

__all__ = ["FUNCTIONS", "Function", "FunctionName", "Whole"]

FunctionName = Literal[
    "count", "sum", "avg", "min", "max", "stddev", "stddevPopulation", "percentile", "first", "last", "rate"
]


@dataclass(frozen=True, kw_only=True)
class Whole:
    """What a function may know of the window beside its parts: the records in it, its length, its own argument `p`."""

    records: int
    length_s: float
    p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Function:
    """`parts` by the class of each; `numeric` ones skip what is no number; `needs_column` ones must say of what."""

    parts: tuple[Callable[[], Part], ...]
    result: Callable[..., Any]
    numeric: bool = True
    needs_column: bool = True


def _average(whole: Whole, tally: Tally, total: Total) -> float | None:
    return exact.ratio(total.total, tally.count) if tally.count else None


def _sum(whole: Whole, tally: Tally, total: Total) -> float | None:
    return exact.ratio(total.total) if tally.count else None


def _deviation(tally: Tally, total: Total, squares: Squares, freedom: int) -> float | None:
    if not freedom:
        return None
    return exact.root_of_ratio(tally.count * squares.total - total.total**2, tally.count * freedom)


def _rate(whole: Whole, total: Total | None = None) -> float | None:
    if total is None:
        return whole.records / whole.length_s
    per_window = exact.ratio(total.total)
    return None if per_window is None else per_window / whole.length_s


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "count": Function(
            parts=(Tally,),
            result=lambda whole, tally=None: whole.records if tally is None else tally.count,
            numeric=False,
            needs_column=False,
        ),
        "sum": Function(parts=(Tally, Total), result=_sum),
        "avg": Function(parts=(Tally, Total), result=_average),
        "min": Function(parts=(Least,), result=lambda whole, least: least.value),
        "max": Function(parts=(Greatest,), result=lambda whole, greatest: greatest.value),
        "stddev": Function(
            parts=(Tally, Total, Squares),
            result=lambda whole, n, total, s: _deviation(n, total, s, max(n.count - 1, 0)),
        ),
        "stddevPopulation": Function(
            parts=(Tally, Total, Squares), result=lambda whole, n, total, s: _deviation(n, total, s, n.count)
        ),
        "percentile": Function(
            parts=(Percentiles,), result=lambda whole, percentiles: percentiles.sketch.percentile(whole.p)
        ),
        "first": Function(parts=(First,), result=lambda whole, first: first.value, numeric=False),
        "last": Function(parts=(Last,), result=lambda whole, last: last.value, numeric=False),
        "rate": Function(parts=(Total,), result=_rate, needs_column=False),
    }
)
"""By name in the settings. Without a value in the window all but the counts are null."""
