"""The scoring rule of NAB on small made-up files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nab_rule import FALSE_POSITIVE_WEIGHT, Labelled, Result, load, probation, score, weights
from iot_core.errors import InputError

ROWS, WINDOW = 200, (100, 119)


def labelled(*windows: tuple[int, int], rows: int = ROWS) -> Labelled:
    return Labelled(name="made-up", values=np.zeros(rows), windows=list(windows))


def detections(*rows: int, of: int = ROWS) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    scores = np.zeros(of)
    scores[list(rows)] = 0.9
    return scores


def scored(*rows: int, windows: tuple[tuple[int, int], ...] = (WINDOW,)) -> Result:
    return score([labelled(*windows)], [detections(*rows)])


def test_a_detection_at_the_start_of_the_window_is_perfect() -> None:
    found = scored(100)
    assert (found.score, found.threshold) == (pytest.approx(100.0), 0.9)


def test_a_later_detection_earns_less_and_the_last_row_nearly_nothing() -> None:
    points = [scored(row).score for row in (100, 105, 110, 115, 119)]
    assert points == sorted(points, reverse=True)
    assert 50 < points[-1] < 60  # found at all is worth half of what there is


def test_only_the_earliest_detection_of_a_window_counts() -> None:
    assert scored(104, 110, 119).score == pytest.approx(scored(104).score)


def test_a_detector_that_never_alarms_has_nothing() -> None:
    assert score([labelled(WINDOW)], [np.zeros(ROWS)]).score == 0.0


def test_a_false_alarm_costs_more_the_farther_it_is_behind_the_window() -> None:
    perfect, cost = 100.0, 100 * FALSE_POSITIVE_WEIGHT / 2  # the scale from null to perfect is two windows long
    near, far = scored(100, 121).score, scored(100, 190).score
    assert perfect > near > far
    assert far == pytest.approx(perfect - cost, abs=0.01)


def test_a_false_alarm_before_the_first_window_costs_all_that_it_can() -> None:
    assert scored(60, 100).score == pytest.approx(100 - 100 * FALSE_POSITIVE_WEIGHT / 2)


def test_alarms_in_probation_are_free() -> None:
    assert probation(ROWS) == 30
    assert scored(29, 100).score == pytest.approx(100.0)
    assert scored(30, 100).score < 100.0


def test_probation_is_never_longer_than_750_rows() -> None:
    assert (probation(1_000), probation(1_000_000)) == (150, 750)


def test_one_threshold_is_chosen_for_all_files() -> None:
    clear, faint = detections(100), detections(100) / 2
    noisy = np.where(np.arange(ROWS) % 2 == 0, 0.45, 0.0)  # would cost more than the faint window brings
    best = score([labelled(WINDOW), labelled(WINDOW), labelled()], [clear, faint, noisy])
    assert (best.score, best.threshold) == (pytest.approx(50.0), 0.9)


def test_missing_one_of_two_windows_costs_half() -> None:
    assert scored(100, windows=(WINDOW, (150, 169))).score == pytest.approx(50.0)


def test_weights_name_the_window_of_each_row() -> None:
    earned, numbers = weights(10, [(2, 3), (6, 7)])
    assert numbers.tolist() == [-1, -1, 0, 0, -1, -1, 1, 1, -1, -1]
    assert earned[2] == pytest.approx(1.0)
    assert earned[:2].tolist() == [-1.0, -1.0]


def test_the_files_of_the_benchmark_are_read(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "made").mkdir(parents=True)
    rows = [f"2026-01-01 00:{minute:02}:00,{minute}.5" for minute in range(10)]
    (tmp_path / "data" / "made" / "up.csv").write_text("\n".join(["timestamp,value", *rows]))
    windows = {"made/up.csv": [["2026-01-01 00:03:00.000000", "2026-01-01 00:05:00.000000"]]}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    (file,) = load(tmp_path)
    assert (file.name, file.windows, file.values.tolist()[:2]) == ("made/up.csv", [(3, 5)], [0.5, 1.5])


@pytest.mark.parametrize("labels", [None, "{", "{}"])
def test_another_folder_is_refused_in_one_line(tmp_path: Path, labels: str | None) -> None:
    (tmp_path / "labels").mkdir()
    if labels is not None:
        (tmp_path / "labels" / "combined_windows.json").write_text(labels)
    with pytest.raises(InputError, match="does not hold the Numenta Anomaly Benchmark"):
        load(tmp_path)
