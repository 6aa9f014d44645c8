from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, numpy_helper

from device.measurements import CITIES, temperatures
from iot_core.errors import InputError
from modules.scorer.anomaly import AnomalyModel, Detector, Judgement, Key, refracted
from modules.scorer.settings import ScorerSettings
from tests.modules.scorer.onnx_models import linear, picture_means, save


@pytest.fixture(scope="module")
def model() -> AnomalyModel:
    return AnomalyModel()


def last_value(window: int) -> bytes:
    """window [N, W] → score [N]: the last value itself."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["window", "last"], ["score"], axis=1)],
        "last",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", window])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.array(window - 1), "last")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def hourly(city: str, noise: float = 0.0) -> npt.NDArray[np.float64]:
    values = np.array([reading.celsius for reading in temperatures(city)])
    return values + np.random.default_rng(3).normal(0, noise, values.size) if noise else values


def test_scores_are_shares_and_a_constant_is_not_unusual(model: AnomalyModel) -> None:
    assert model.score([21.5] * 400, 21.5) == 0.0
    assert 0.9 < model.score([21.5] * 400, 22.5) <= 1.0


def test_a_batch_scores_like_its_windows_alone(model: AnomalyModel) -> None:
    series = hourly(CITIES[0]).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series[: model.window + 20], model.window).copy()
    alone = [float(model.model.run(window[np.newaxis])[0]) for window in windows]
    assert np.allclose(model.model.run(windows), alone, atol=0.01)  # the profile's own rounding


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_the_unit_of_measurement_does_not_matter(model: AnomalyModel, scale: float) -> None:
    values = hourly(CITIES[0])[:400]
    assert model.score(values * scale, (values[-1] + 6) * scale) == pytest.approx(
        model.score(values, values[-1] + 6), abs=0.01
    )


@pytest.mark.parametrize("city", CITIES)
@pytest.mark.parametrize("shift", [15.0, -15.0, 25.0])
def test_a_fault_of_fifteen_degrees_is_found_at_any_hour(model: AnomalyModel, city: str, shift: float) -> None:
    values, threshold = hourly(city, noise=0.1), ScorerSettings().threshold
    ends = range(model.window, len(values), 397)  # 397 is prime to 24: every hour of the day comes up
    scores = [model.score(values[end - model.window + 1 : end], values[end] + shift) for end in ends]
    assert min(scores) >= threshold


@pytest.mark.parametrize("city", CITIES)
def test_a_sound_sensor_gives_no_alarm_in_a_season(model: AnomalyModel, city: str) -> None:
    detector, settings = Detector(model), ScorerSettings()
    values = hourly(city, noise=0.1)[: model.window + 2000]
    detector.remember(("s",), values[: model.window], settings)
    alarms = [detector.judge(("s",), float(value), settings).anomaly for value in values[model.window :]]
    assert sum(alarms) == 0


def test_a_series_is_not_judged_before_it_has_a_history(model: AnomalyModel) -> None:
    detector, settings = Detector(model), ScorerSettings.from_twin({"minimumHistory": 30})
    scores = [detector.judge(("s",), value, settings).score for value in hourly(CITIES[0])[:40].tolist()]
    assert scores[:30] == [None] * 30
    assert None not in scores[30:]


def test_series_are_apart_and_the_one_silent_for_longest_is_forgotten(model: AnomalyModel) -> None:
    detector, settings = Detector(model), ScorerSettings.from_twin({"maxSeries": 2})
    history = hourly(CITIES[0])[:400].tolist()
    for key in ("a", "b", "a", "c"):
        detector.remember((key,), history, settings)
    assert len(detector) == 2
    assert detector.judge(("a",), history[-1], settings).score is not None
    assert detector.judge(("b",), history[-1], settings).score is None


def test_an_event_alarms_once(model: AnomalyModel) -> None:
    detector, settings = Detector(model), ScorerSettings()
    history = hourly(CITIES[0])[:400]
    detector.remember(("s",), history, settings)
    hot = float(history[-1]) + 30
    assert [detector.judge(("s",), hot, settings).anomaly for _ in range(4)] == [True, False, False, False]


def test_flagged_values_can_be_kept_out_of_the_window(model: AnomalyModel) -> None:
    history = hourly(CITIES[0])[:400]
    strange = float(history[-1]) + 30

    def second_score(keep: bool) -> float | None:
        detector, settings = Detector(model), ScorerSettings.from_twin({"keepAnomalies": keep, "refractoryValues": 0})
        detector.remember(("s",), history, settings)
        detector.judge(("s",), strange, settings)
        return detector.judge(("s",), strange, settings).score

    kept_out, kept = second_score(False), second_score(True)
    assert kept_out is not None
    assert kept is not None
    assert kept_out > kept


def test_the_refractory_rule_looks_back_only() -> None:
    assert refracted(0.8, []) == 0.8
    assert refracted(0.8, [0.5, 0.7]) == 0.8
    assert refracted(0.8, [0.5, 0.8]) == 0.4


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("kind", ["graph", "graph+context", "context"])
def test_values_judged_together_are_judged_as_one_by_one(model: AnomalyModel, kind: str, keep: bool) -> None:
    settings = ScorerSettings.from_twin({"detector": kind, "keepAnomalies": keep, "threshold": 0.5})
    values = hourly(CITIES[0], noise=0.5)[:260]
    values[[150, 200, 201]] += 25
    pairs: list[tuple[Key, float]] = [((name,), value) for value in values.tolist() for name in ("a", "b")]
    one_by_one, together = Detector(model), Detector(model)
    expected = [one_by_one.judge(key, value, settings) for key, value in pairs]
    found = together.judge_all(pairs, settings)
    assert [each.anomaly for each in found] == [each.anomaly for each in expected]
    assert any(each.anomaly for each in found)
    scores = [[each.score for each in judgements if each.score is not None] for judgements in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)  # the profile's own rounding


def test_the_context_detector_sees_a_broken_rhythm_that_the_graph_does_not(model: AnomalyModel) -> None:
    """Values as usual as any, in an order that never came before."""
    rhythm = [20.0, 22.0, 26.0, 24.0, 28.0, 21.0, 23.0, 25.0] * 60
    broken = [28.0, 20.0, 28.0, 20.0]
    highest = {}
    for kind in ("graph", "context"):
        detector, settings = Detector(model), ScorerSettings.from_twin({"detector": kind, "refractoryValues": 0})
        detector.remember(("s",), rhythm, settings)
        usual = detector.judge_all([(("s",), value) for value in rhythm[:16]], settings)
        strange = detector.judge_all([(("s",), value) for value in broken], settings)
        highest[kind] = max(each.score or 0 for each in strange) - max(each.score or 0 for each in usual)
    assert highest["context"] > 0.4


def test_forgotten_series_are_counted(model: AnomalyModel) -> None:
    detector, settings = Detector(model), ScorerSettings.from_twin({"maxSeries": 2})
    for name in ("a", "b", "a", "c", "d"):
        detector.judge((name,), 1.0, settings)
    assert (len(detector), detector.forgotten) == (2, 2)


def test_another_model_takes_over_between_two_values(model: AnomalyModel, tmp_path: Path) -> None:
    detector, settings = Detector(model), ScorerSettings.from_twin({"minimumHistory": 24})
    detector.remember(("s",), hourly(CITIES[0])[:400], settings)
    last = AnomalyModel(save(tmp_path, "last", last_value(30)))
    detector.use(last)
    assert detector.judge(("s",), 0.9, settings) == Judgement(value=0.9, score=0.9, anomaly=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(picture_means(), r"its input must be \[N, W\] with a fixed W"), (linear(), "one finite number for each window")],
)
def test_a_model_of_another_shape_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        AnomalyModel(save(tmp_path, "another", content))
