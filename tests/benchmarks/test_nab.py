"""benchmarks.nab on a corpus of the same form, made up."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nab import VARIANTS, format_table, judged, main, measure
from benchmarks.nab_rule import Labelled
from modules.scorer.settings import ScorerSettings


def wave(seed: int) -> Labelled:
    """A noisy wave that stands still for a while, labelled."""
    rows = np.arange(900)
    values = np.sin(rows / 8) * 10 + np.random.default_rng(seed).normal(0, 0.3, rows.size)
    values[600:640] = values[600]
    return Labelled(name=f"wave-{seed}", values=values, windows=[(590, 650)])


def test_every_row_gets_a_score_and_the_first_are_not_judged() -> None:
    scores, seconds = judged(wave(1), ScorerSettings())
    assert scores.size == 900
    assert not scores[: ScorerSettings().minimum_history].any()
    assert scores.any()
    assert seconds > 0


def test_the_table_has_a_line_for_each_variant_and_the_gain_over_the_bare_graph() -> None:
    rows = measure([wave(1), wave(2)], processes=1)
    assert [row.variant for row in rows] == list(VARIANTS)
    assert all(row.gain == pytest.approx(row.score - rows[0].score, abs=0.11) for row in rows)
    assert len(format_table(rows).splitlines()) == len(VARIANTS) + 1
    assert all(50 < row.score <= 100 for row in rows if "graph" in row.variant)  # they find where it stands still


def test_a_folder_without_data_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["nab", "--data", "/nonexistent"])
    assert main() == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
