"""How a digital twin is read off a device twin (the documentation's temperature controller)."""

from __future__ import annotations

from iot_core.plug_and_play import digital_twin
from iot_core.twin import Section

T1, T2 = "2026-01-01T00:00:01.0000000Z", "2026-01-01T00:00:02.0000000Z"
MODEL = "dtmi:com:example:TemperatureController;1"


def desired(*patches: dict[str, object]) -> Section:
    section = Section.new("desired", T1)
    for patch in patches:
        section = section.patched(patch, T1)
    return section


def reported(*patches: dict[str, object]) -> Section:
    section = Section.new("reported", T1)
    for patch in patches:
        section = section.patched(patch, T2)
    return section


def test_a_device_without_a_model_has_an_empty_one() -> None:
    assert digital_twin("d", "", desired(), reported()) == {"$dtId": "d", "$metadata": {"$model": ""}}


def test_a_read_only_property_has_its_value_and_the_time_it_was_reported() -> None:
    twin = digital_twin("d", MODEL, desired(), reported({"serialNumber": "a1"}))
    assert twin["serialNumber"] == "a1"
    assert twin["$metadata"] == {"$model": MODEL, "serialNumber": {"lastUpdateTime": T2}}


def test_what_is_only_desired_stands_in_the_metadata_alone() -> None:
    twin = digital_twin("d", MODEL, desired({"fanSpeed": 2.0}), reported())
    assert "fanSpeed" not in twin
    assert twin["$metadata"]["fanSpeed"] == {"desiredValue": 2.0, "desiredVersion": 2}


def test_a_writable_property_shows_the_reported_value_and_the_acknowledgement() -> None:
    said: dict[str, object] = {"fanSpeed": {"value": 3.0, "ac": 200, "av": 1, "ad": "done"}}
    twin = digital_twin("d", MODEL, desired({"fanSpeed": 2.0}), reported(said))
    assert twin["fanSpeed"] == 3.0
    assert twin["$metadata"]["fanSpeed"] == {
        "desiredValue": 2.0,
        "desiredVersion": 2,
        "ackVersion": 1,
        "ackCode": 200,
        "ackDescription": "done",
        "lastUpdateTime": T2,
    }


def test_an_object_that_is_no_acknowledgement_is_a_value() -> None:
    value = {"value": 3.0, "unit": "rpm"}
    assert digital_twin("d", MODEL, desired(), reported({"speed": value}))["speed"] == value


def test_components_have_metadata_of_their_own() -> None:
    twin = digital_twin(
        "d",
        MODEL,
        desired({"other": 1}, {"thermostat1": {"__t": "c", "target": 21.8}}),
        reported({"thermostat1": {"__t": "c", "max": 25.3, "target": {"value": 21.8, "ac": 200, "av": 3}}}),
    )
    assert twin["thermostat1"] == {
        "max": 25.3,
        "target": 21.8,
        "$metadata": {
            "target": {
                "desiredValue": 21.8,
                "desiredVersion": 3,
                "ackVersion": 3,
                "ackCode": 200,
                "lastUpdateTime": T2,
            },
            "max": {"lastUpdateTime": T2},
        },
    }
    assert "thermostat1" not in twin["$metadata"]
