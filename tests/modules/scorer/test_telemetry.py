"""From messages to judged messages, and judging together what waits at the same time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from device.measurements import CITIES, temperatures
from iot_core.errors import InputError, MessageError
from iot_core.message import Message
from iot_core.routing import RoutedMessage, compile_route
from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.gathering import MOST, Gathering
from modules.scorer.settings import ScorerSettings
from modules.scorer.telemetry import LARGEST, TelemetryScorer

HISTORY = [reading.celsius for reading in temperatures(CITIES[0])][:400]
NORMAL, HOT = HISTORY[-1], HISTORY[-1] + 15
MODEL, SETTINGS = AnomalyModel(), ScorerSettings()


def sent(content: Any, device: str = "d1", **properties: str) -> Message:
    return Message(json.dumps(content).encode(), dict(properties), {"connectionDeviceId": device})


def taught(*devices: str, settings: ScorerSettings = SETTINGS) -> TelemetryScorer:
    scorer = TelemetryScorer(detector=Detector(MODEL))
    for device in devices:
        scorer.take(sent({settings.field: HISTORY}, device, phase="history"), settings)
    return scorer


def test_flag_and_score_are_properties_that_a_route_can_use() -> None:
    (output,) = taught("d1").take(sent({"temperature": HOT}), SETTINGS)
    source = "/messages/modules/scorer/outputs/scores"
    route = compile_route(f"FROM {source} WHERE as_number(anomalyScore) > 0.75 INTO $upstream")
    properties = {name: value or "" for name, value in output.message.properties.items()}
    assert properties["anomaly"] == "true"
    assert float(properties["anomalyScore"]) == json.loads(output.message.body)["score"]
    assert route.accepts(RoutedMessage(source=source, properties=properties, system_properties={}, body=b""))


def test_without_a_score_there_is_no_such_property() -> None:
    (output,) = taught().take(sent({"temperature": NORMAL}), SETTINGS)
    assert output.message.properties == {"anomaly": "false"}


def test_another_field_is_another_series() -> None:
    scorer = taught("d1")
    (output,) = scorer.take(sent({"pressure": NORMAL}), ScorerSettings.from_twin({"field": "pressure"}))
    assert json.loads(output.message.body)["score"] is None


@pytest.mark.parametrize("value", [2 * LARGEST, -2 * LARGEST])
def test_a_number_that_models_cannot_compute_with_is_refused(value: float) -> None:
    scorer = taught("d1")
    with pytest.raises(MessageError, match="too large to score"):
        scorer.take(sent({"temperature": value}), SETTINGS)
    assert (scorer.counts.errors, scorer.counts.scored) == (1, 0)


def test_a_series_of_the_largest_numbers_is_scored() -> None:
    settings = ScorerSettings.from_twin({"minimumHistory": 24})
    values = [LARGEST * (-1) ** number for number in range(400)]
    outputs = taught().take(sent({"temperature": values}), settings)
    assert 0 <= json.loads(outputs[-1].message.body)["score"] <= 1


def test_together_each_message_gets_its_own_answer() -> None:
    scorer = taught("d1", "d2")
    messages = [
        sent({"temperature": NORMAL}, "d1"),
        sent({"humidity": 3}, "d1"),
        sent([{"temperature": NORMAL}, {"temperature": HOT}], "d2"),
        sent({"temperature": HISTORY}, "d3", phase="history"),
        sent({"temperature": HOT}, "d3"),
    ]
    taken = scorer.take_all(messages, SETTINGS)
    assert [len(each.outputs) for each in taken] == [1, 0, 2, 0, 1]
    flags = [output.message.properties["anomaly"] for each in taken for output in each.outputs]
    assert flags == ["false", "false", "true", "true"]
    assert "no field 'temperature'" in str(taken[1].error)
    assert vars(scorer.counts) == {"messages": 7, "history": 1200, "scored": 4, "anomalies": 2, "errors": 1}


async def test_what_comes_in_one_turn_of_the_loop_is_judged_in_one_piece_and_in_order() -> None:
    scorer, pieces = taught("d1"), list[int]()
    together = scorer.take_all

    def noted(messages: Any, settings: ScorerSettings) -> Any:
        pieces.append(len(messages))
        return together(messages, settings)

    scorer.take_all = noted  # type: ignore[method-assign]
    gathering = Gathering(scorer, lambda: SETTINGS)
    values = [NORMAL + number / 100 for number in range(MOST + 5)]
    answers = await asyncio.gather(*(gathering.take(sent({"temperature": value})) for value in values))
    assert pieces == [MOST, 5]
    assert [json.loads(output.message.body)["value"] for (output,) in answers] == values


async def test_a_bad_message_fails_alone() -> None:
    gathering = Gathering(taught("d1"), lambda: SETTINGS)
    good, bad = await asyncio.gather(
        gathering.take(sent({"temperature": NORMAL})), gathering.take(sent([1])), return_exceptions=True
    )
    assert isinstance(good, list)
    assert isinstance(bad, InputError)
