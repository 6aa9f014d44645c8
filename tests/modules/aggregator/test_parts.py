from __future__ import annotations

import math
import statistics
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.aggregator import exact
from modules.aggregator.functions import FUNCTIONS, Whole
from modules.aggregator.parts import First, Greatest, Last, Least, Percentiles, Squares, Tally, Total
from modules.aggregator.sketch import ERROR, MAX_BINS, Sketch

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63)
READINGS = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)
ALL_PARTS = [Tally, Total, Squares, Least, Greatest, First, Last, Percentiles]


def aggregate(name: str, values: list[float], *, p: float | None = None, length_s: float = 10) -> Any:
    function = FUNCTIONS[name]
    parts = [make() for make in function.parts]
    for time, value in enumerate(values):
        for part in parts:
            part.add(value, time)
    return function.result(Whole(records=len(values), length_s=length_s, p=p), *parts)


@given(st.lists(NUMBERS))
def test_a_sum_is_exact_and_rounded_once(values: list[float]) -> None:
    total = sum((Fraction(value) for value in values), Fraction())
    units = sum(map(exact.units, values))
    assert Fraction(units, 1 << 1074) == total
    assert exact.from_text(exact.to_text(units)) == units


def test_a_sum_that_doubles_lose() -> None:
    assert aggregate("sum", [1e16, 1.0, -1e16]) == 1.0
    assert aggregate("avg", [0.1] * 10) == 0.1


def test_what_is_beyond_doubles_is_null() -> None:
    assert aggregate("sum", [1.7e308, 1.7e308]) is None
    assert aggregate("avg", [1.7e308, 1.7e308]) == 1.7e308


@given(st.lists(READINGS, min_size=2, max_size=30))
def test_deviations_are_those_of_exact_arithmetic(values: list[float]) -> None:
    fractions = [Fraction(value) for value in values]
    assert aggregate("stddev", values) == pytest.approx(math.sqrt(statistics.variance(fractions)), rel=1e-12)
    assert aggregate("stddevPopulation", values) == pytest.approx(math.sqrt(statistics.pvariance(fractions)), rel=1e-12)


def test_a_small_deviation_of_large_values_is_not_lost() -> None:
    assert aggregate("stddev", [1e9, 1e9 + 0.001, 1e9 + 0.002]) == pytest.approx(0.001, rel=1e-4)


def test_one_value_has_a_population_deviation_but_no_sample_deviation() -> None:
    assert (aggregate("stddev", [5]), aggregate("stddevPopulation", [5])) == (None, 0)


def test_the_plain_functions() -> None:
    values = [3, 1.5, 2]
    names = ["count", "sum", "avg", "min", "max", "first", "last"]
    assert [aggregate(name, values) for name in names] == [3, 6.5, 6.5 / 3, 1.5, 3, 3, 2]


def test_rate_is_the_sum_of_values_a_second_or_the_records_a_second() -> None:
    assert aggregate("rate", [100, 50], length_s=10) == 15
    assert FUNCTIONS["rate"].result(Whole(records=30, length_s=60)) == 0.5


def test_without_values_all_but_counts_and_rates_are_null() -> None:
    empty = {name: aggregate(name, [], p=50) for name in FUNCTIONS}
    assert {name for name, value in empty.items() if value is not None} == {"count", "rate"}


@given(st.lists(NUMBERS, min_size=1, max_size=60), st.floats(0, 100))
def test_a_percentile_is_within_its_error(values: list[float], p: float) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    true = sorted(map(float, values))[math.floor(p / 100 * (len(values) - 1))]
    found = sketch.percentile(p)
    assert found is not None
    assert abs(found - true) <= ERROR * abs(true) * (1 + 1e-9) + 5e-324


def test_a_sketch_stays_small_and_forgets_the_smallest_magnitudes_first() -> None:
    sketch = Sketch()
    values = [1.03**power for power in range(-1500, 1500)]
    for value in values:
        sketch.add(value)
        sketch.add(-value)
    assert len(sketch.positive) == len(sketch.negative) == MAX_BINS
    assert sketch.percentile(99) == pytest.approx(values[round(0.98 * 3_000)], rel=0.05)
    assert sketch.percentile(1) == pytest.approx(-values[round(0.98 * 3_000)], rel=0.05)


@pytest.mark.parametrize("make", ALL_PARTS)
@given(data=st.data())
def test_parts_do_not_know_the_order_nor_how_they_were_merged_nor_a_restart(make: Any, data: st.DataObject) -> None:
    entries = data.draw(st.lists(st.tuples(READINGS, st.integers(0, 3)), max_size=20))
    cut = data.draw(st.integers(0, len(entries)))
    shuffled = data.draw(st.permutations(entries))
    whole, left, right = make(), make(), make()
    for value, time in entries:
        whole.add(value, time)
    for at, (value, time) in enumerate(shuffled):
        (left if at < cut else right).add(value, time)
    left.merge(right)
    again = make()
    again.load(left.dump())
    assert normal(again.dump()) == normal(whole.dump())


def normal(state: Any) -> Any:
    """A sketch's bins in order: the order of its dictionaries has no meaning."""
    if isinstance(state, list) and len(state) == 5:
        return [*state[:3], *(sorted(zip(flat[::2], flat[1::2], strict=True)) for flat in state[3:])]
    return state
