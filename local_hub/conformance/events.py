"""The built-in endpoint, events, routes and enrichments."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_HUB = "tests/local_hub/eventhub/test_event_hub.py"
_ROUTER = "tests/local_hub/routing/test_router.py"
_ROUTING = "tests/local_hub/routing/test_message_routing.py"
_SETTINGS = "tests/local_hub/routing/test_settings.py"
_LANGUAGE = "tests/iot_core/routing/test_routing_language.py"
_SOURCES = "local_hub/routing/settings.py::SOURCES"
_FUNCTIONS = "iot_core/routing/functions.py::FUNCTIONS"

ROWS = area(
    "Events",
    row(
        "Telemetry in the built-in endpoint (DeviceMessages)",
        _DOCUMENTED,
        f"{_HUB}::TestPartitions::test_a_devices_partition_never_changes",
        "Partitions by a hash of the device id, fixed when a hub is made; offsets are sequence numbers in digits.",
        "local_hub/eventhub/event_hub.py::EventHub",
        _SOURCES,
    ),
    row(
        "Retention",
        _APPROXIMATE,
        f"{_HUB}::TestRetention::test_what_has_expired_leaves_the_disk",
        "1 to 7 days by the hub's clock, or 1 GiB a partition; whole segments go, some with younger events in them.",
        "local_hub/eventhub/retention.py::RetentionOptions",
    ),
    row(
        "Consumer groups",
        _DOCUMENTED,
        "tests/local_hub/eventhub/test_groups.py::TestConsumerGroups::test_default_is_there_and_names_match_in_any_case",
        "edgeyard hub consumer-groups; names match in any case, 20 at most.",
        "local_hub/eventhub/groups.py::ConsumerGroups",
    ),
    row(
        "Acknowledged messages are kept",
        _DOCUMENTED,
        "tests/acceptance/test_durability.py::test_everything_acknowledged_is_found_again_after_every_kill",
        "PUBACK, 2xx and accepted leave after the synced commit; --durability normal trades that for speed.",
        "local_hub/messaging.py::Messaging",
    ),
    row(
        "TwinChangeEvents",
        _DOCUMENTED,
        f"{_ROUTING}::TestHubEvents::test_a_twin_update",
        "Where a route asks for them; kept in the transaction that they tell of, and never merged.",
        _SOURCES,
    ),
    row(
        "DeviceLifecycleEvents",
        _DOCUMENTED,
        f"{_ROUTING}::TestHubEvents::test_identities_that_come_and_go_modules_too",
        "createDeviceIdentity and deleteDeviceIdentity, for modules too.",
        _SOURCES,
    ),
    row(
        "DeviceConnectionStateEvents",
        _DOCUMENTED,
        f"{_ROUTING}::TestHubEvents::test_connections_have_growing_sequence_numbers_of_64_digits",
        "One for every coming and going; the service may leave out short ones.",
        _SOURCES,
    ),
    row(
        "DigitalTwinChangeEvents",
        _APPROXIMATE,
        f"{_ROUTING}::TestHubEvents::test_a_digital_twin_update",
        "A JSON Patch of the digital twin, as documented; its application properties are named after those of the "
        "events.",
        _SOURCES,
    ),
    row(
        "DeviceJobLifecycleEvents, MqttBrokerMessages",
        _REFUSED,
        f"{_SETTINGS}::test_what_is_wrong_is_named",
        "A route that names such a source is refused.",
        "local_hub/routing/settings.py::_REFUSED_SOURCES",
    ),
    row(
        "Routes and the fallback route",
        _DOCUMENTED,
        f"{_ROUTER}::TestRoutes::test_a_message_that_matches_no_route_takes_the_fallback_route",
        "In hub/routing.json and by edgeyard hub routes; not through Azure Resource Manager.",
        "local_hub/routing/router.py::Router",
    ),
    row(
        "Routing queries: properties, $body, $twin, system properties",
        _APPROXIMATE,
        "tests/iot_core/routing/test_hub_conditions.py::test_a_condition_that_takes_the_message",
        "The edge hub's grammar, as its source has it, with IoT Hub's $twin; changes count at once.",
        "iot_core/routing/hub.py",
    ),
    row(
        "Functions of routing queries: is_defined, is_array, is_bool, is_null, is_number, is_object, is_primitive, "
        "is_string, as_number, abs, exp, power, square, ceiling, floor, sign, sqrt, concat, length, lower, upper, "
        "substring, index_of, starts_with, ends_with, contains",
        _APPROXIMATE,
        f"{_LANGUAGE}::test_function",
        "With the edge hub's results, where documents of IoT Hub are silent.",
        _FUNCTIONS,
    ),
    row(
        "Message enrichments",
        _APPROXIMATE,
        f"{_ROUTER}::TestEnrichments::test_a_value_is_stamped_and_the_text_itself_where_the_twin_has_none",
        "At once, where the service's twins lag; objects are stamped as JSON; an enrichment replaces an own property.",
        "local_hub/routing/enrichments.py",
    ),
    row(
        "Endpoints webhook and file",
        _APPROXIMATE,
        "tests/local_hub/routing/test_delivery.py::TestDelivery::"
        "test_messages_that_were_not_taken_come_again_after_a_restart",
        "Of our own, at least once, in the JSON of storage endpoints.",
        "local_hub/routing/sinks.py::Sink",
    ),
    row(
        "Endpoints of Event Hubs, Service Bus, Storage and Cosmos DB",
        _REFUSED,
        f"{_SETTINGS}::test_what_is_wrong_is_named",
        "Settings that name one are refused.",
        "local_hub/routing/settings.py",
    ),
)
