from __future__ import annotations

import pytest

from iot_core.clock import ManualClock
from iot_core.identity import Identity
from local_hub.controls.traffic_log import DEVICES, LINES_PER_DEVICE, TrafficLog


@pytest.fixture
def log(clock: ManualClock) -> TrafficLog:
    return TrafficLog(clock)


def test_a_line_says_when_where_what_how_much_and_with_what_result(log: TrafficLog) -> None:
    log.note("HTTPS", "d1/m1", "in", "PATCH /twins/d1/modules/m1", 20, "200")
    assert log.lines("d1", 10) == [
        {
            "time": "2026-01-01T00:00:00.0000000Z",
            "until": "2026-01-01T00:00:00.0000000Z",
            "door": "HTTPS",
            "direction": "in",
            "identity": "d1/m1",
            "what": "PATCH /twins/d1/modules/m1",
            "size": 20,
            "count": 1,
            "result": "200",
        }
    ]


def test_like_things_in_a_row_share_a_line_for_a_minute(log: TrafficLog, clock: ManualClock) -> None:
    recorder = log.recorder("MQTT", Identity("d1"))
    for _ in range(100):
        clock.advance(1)
        recorder.note("in", "telemetry", 10, "taken")
    assert [(line["count"], line["size"]) for line in log.lines("d1", 10)] == [(60, 600), (40, 400)]


def test_another_thing_or_result_begins_a_line(log: TrafficLog) -> None:
    recorder = log.recorder("MQTT", Identity("d1"))
    recorder.note("in", "telemetry", 1, "taken")
    recorder.note("in", "telemetry", 1, "lost")
    recorder.note("in", "$iothub/twin/GET", 1, "lost")
    assert [(line["what"], line["result"]) for line in log.lines("d1", 10)] == [
        ("telemetry", "taken"),
        ("telemetry", "lost"),
        ("$iothub/twin/GET", "lost"),
    ]


def test_lines_of_all_devices_come_in_the_order_of_time(log: TrafficLog, clock: ManualClock) -> None:
    for number in range(6):
        clock.advance(1)
        log.note("MQTT", f"d{number % 3}", "in", str(number), 0, "taken")
    assert [line["what"] for line in log.lines(None, 4)] == ["2", "3", "4", "5"]
    assert [line["what"] for line in log.lines("d1", 4)] == ["1", "4"]


def test_each_device_keeps_its_last_lines_and_only_so_many_devices_have_any(log: TrafficLog) -> None:
    for number in range(LINES_PER_DEVICE + 5):
        log.note("MQTT", "busy", "in", str(number), 0, "taken")
    assert len(log.lines("busy", 1000)) == LINES_PER_DEVICE
    for number in range(DEVICES):
        log.note("MQTT", f"other-{number}", "in", "CONNECT", 0, "accepted")
    assert log.lines("busy", 1000) == []
    assert len(log.lines(None, 10_000)) == DEVICES
