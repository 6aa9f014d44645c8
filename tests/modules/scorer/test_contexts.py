"""The memory of contexts, and the detector of one series that it is used by."""

from __future__ import annotations

import numpy as np
import pytest

from modules.scorer.contexts import LEVELS, MOST_CONTEXTS, ContextMemory
from modules.scorer.contextual import REMEMBERED, ContextDetector
from modules.scorer.window import Float64, Window

PATTERN = [0, 2, 4, 7, 7, 5, 3, 1]


def noisy_wave(count: int, seed: int = 1) -> Float64:
    return np.sin(np.arange(count) / 5) * 10 + np.random.default_rng(seed).normal(0, 0.5, count)


def run(detector: ContextDetector, values: list[float], window: Window) -> list[float]:
    scores = []
    for value in values:
        scores.append(detector.score(window.last(REMEMBERED), value))
        window.append(value)
    return scores


def test_what_repeats_becomes_familiar() -> None:
    memory = ContextMemory()
    scores = [memory.take(level) for level in PATTERN * 20]
    periods = np.array(scores).reshape(-1, len(PATTERN)).mean(axis=1)
    assert periods[0] > 0.4
    assert periods[-1] < 0.1


def test_what_breaks_a_pattern_is_unfamiliar() -> None:
    memory = ContextMemory()
    for level in PATTERN * 20:
        memory.take(level)
    assert memory.take(4) > 0.6  # a level as usual as any, but not after 1


def test_the_same_levels_score_the_same() -> None:
    levels = np.random.default_rng(3).integers(0, LEVELS, 300).tolist()
    first, second = ContextMemory(), ContextMemory()
    assert [first.take(level) for level in levels] == [second.take(level) for level in levels]


def test_the_memory_is_bounded_and_goes_on_after_it_forgot() -> None:
    memory = ContextMemory()
    for level in np.random.default_rng(2).integers(0, LEVELS, 600).tolist():
        memory.take(level)
    assert 0 < len(memory) <= MOST_CONTEXTS
    pattern = [memory.take(level) for level in PATTERN * 40]
    assert np.mean(pattern[-80:]) < np.mean(pattern[:80])


def test_scores_are_shares() -> None:
    memory = ContextMemory()
    scores = [memory.take(level) for level in np.random.default_rng(4).integers(0, LEVELS, 500).tolist()]
    assert 0.0 <= min(scores) <= max(scores) <= 1.0


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_does_not_matter(scale: float) -> None:
    values = noisy_wave(300)
    plain, scaled = (
        run(ContextDetector(), (values * factor + offset).tolist(), Window(REMEMBERED))
        for factor, offset in ((1.0, 0.0), (scale, 0.0))
    )
    assert scaled == pytest.approx(plain)


def test_a_constant_series_is_familiar() -> None:
    scores = run(ContextDetector(), [21.5] * 50, Window(REMEMBERED))
    assert scores[-1] == 0.0


def test_a_new_range_is_learnt_as_if_it_had_been_known_before() -> None:
    history, window = noisy_wave(200), Window(REMEMBERED)
    lived, fresh = ContextDetector(), ContextDetector()
    run(lived, history.tolist(), window)
    assert lived.score(window.last(REMEMBERED), 40.0) == fresh.score(history, 40.0)


def test_a_value_just_outside_of_the_range_makes_no_new_one() -> None:
    history, window = noisy_wave(200), Window(REMEMBERED)
    lived, fresh = ContextDetector(), ContextDetector()
    run(lived, history.tolist(), window)
    above = float(history.max() + 0.02 * np.ptp(history))
    assert lived.score(window.last(REMEMBERED), above) != fresh.score(history, above)


def test_one_outlier_does_not_blind_it_for_ever() -> None:
    """Once the outlier is no longer remembered the levels are those of the usual values again."""
    detector, window = ContextDetector(), Window(REMEMBERED)
    values = noisy_wave(3 * REMEMBERED)
    values[100] = 1e6
    run(detector, values.tolist(), window)
    familiar = run(ContextDetector(), values[-REMEMBERED:].tolist(), Window(REMEMBERED))
    standstill = [detector.score(window.last(REMEMBERED), 3.3) for _ in range(8)]
    assert max(standstill) > 2 * float(np.mean(familiar[-200:]))


def test_a_window_keeps_the_newest_numbers_side_by_side() -> None:
    window = Window(3, [1.0, 2.0])
    assert window.last(5).tolist() == [1.0, 2.0]
    for value in range(3, 12):
        window.append(float(value))
    assert len(window) == 3
    assert window.last(3).tolist() == [9.0, 10.0, 11.0]
    assert window.last(1).tolist() == [11.0]
