"""Digital twins and the conventions of IoT Plug and Play."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_SDK = "tests/local_hub/fronts/test_digital_twins.py"
_COMMANDS = f"{_SDK}::test_commands_of_the_root_and_of_a_component_reach_the_device"

ROWS = area(
    "Digital twins (HTTPS)",
    row(
        "GET /digitaltwins/{device}",
        _EXACT,
        f"{_SDK}::test_what_is_desired_and_what_is_reported_stand_in_one_view",
        "Read off the device twin; $model is empty for a device that announced none.",
    ),
    row(
        "PATCH /digitaltwins/{device}",
        _APPROXIMATE,
        f"{_SDK}::test_a_patch_is_accepted_with_the_new_etag_and_where_the_twin_is",
        "add, replace and remove of properties and components; models are not fetched, so types are not checked. Which "
        "of 400505, 400507 and 400508 the service gives for which mistake is inferred from their names.",
    ),
    row("POST /digitaltwins/{device}/commands/{command}", _EXACT, _COMMANDS),
    row("POST /digitaltwins/{device}/components/{component}/commands/{command}", _EXACT, _COMMANDS),
    row(
        "Components (__t)",
        _DOCUMENTED,
        "tests/iot_core/plug_and_play/test_json_patch.py::test_a_property_of_a_component_brings_the_marker",
        "",
        "iot_core/plug_and_play/components.py::is_component",
    ),
    row(
        "Acknowledgements (value, ac, av, ad)",
        _DOCUMENTED,
        "tests/iot_core/plug_and_play/test_digital_twin.py::"
        "test_a_writable_property_shows_the_reported_value_and_the_acknowledgement",
        "",
        "iot_core/plug_and_play/digital_twin.py::digital_twin",
    ),
    row(
        "Values of properties",
        _DOCUMENTED,
        "tests/iot_core/plug_and_play/test_json_patch.py::test_a_value_must_be_one_of_a_property",
        "No arrays, five levels, names of DTDL version 2.",
        "iot_core/plug_and_play/json_patch.py::parse_operations",
    ),
    row(
        "dt-dataschema and dt-subject on events",
        _DOCUMENTED,
        "tests/local_hub/eventhub/test_amqp_message.py::test_what_the_hub_knows_is_in_annotations",
        "The model of a device that announced one, and the component that $.sub names.",
        "local_hub/eventhub/amqp_message.py::amqp_message",
    ),
    row(
        "Model ids",
        _EXACT,
        "tests/local_hub/fronts/test_device_sdk.py::test_the_model_id_is_in_the_twin_once_a_device_is_connected",
        "Over MQTT and AMQP; kept when the device is away.",
        "local_hub/twins/twins.py::Twins.announce_model",
    ),
)
