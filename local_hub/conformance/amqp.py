"""AMQP, and the Event Hubs-compatible endpoint that speaks it."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_DEVICES = "tests/local_hub/fronts/test_amqp_devices.py"
_SERVICES = "tests/local_hub/fronts/test_amqp_services.py"
_EVENTS = "tests/local_hub/fronts/test_eventhub.py"
_NODE = "tests/node/test_node_device.py"
_ADDRESSES = "iot_core/amqp_addresses.py"

_AMQP = area(
    "AMQP (port 5671)",
    row(
        "SASL and claims-based security",
        _EXACT,
        f"{_SERVICES}::test_azure_iot_hub_logs_in_and_sends_a_hundred_times",
        "MSSBCBS, ANONYMOUS, PLAIN and EXTERNAL, or none; put-token of SAS tokens, which end their links when they "
        "expire, unless a new one has been put for the same audience.",
        f"{_ADDRESSES}::Cbs",
    ),
    row(
        "Cloud-to-device messages (services)",
        _EXACT,
        f"{_SERVICES}::test_azure_iot_hub_logs_in_and_sends_a_hundred_times",
        "Accepted after the synced commit; rejected with the service's conditions and a JSON description.",
        f"{_ADDRESSES}::ServiceDevicebound",
    ),
    row(
        "Feedback (services)",
        _DOCUMENTED,
        f"{_SERVICES}::test_feedback_comes_when_a_device_has_completed_a_message",
        "Accepted completes, rejected drops, released and modified put back and count.",
        f"{_ADDRESSES}::Feedback",
    ),
    row(
        "File notifications (services)",
        _DOCUMENTED,
        f"{_SERVICES}::test_a_service_is_told_of_an_uploaded_file",
        "By either of the two addresses that documents name.",
        f"{_ADDRESSES}::FileNotifications",
    ),
    row(
        "Telemetry (devices, modules)",
        _EXACT,
        f"{_NODE}::test_telemetry_keeps_body_properties_and_system_properties",
        "Batches too, each stored as one and wholly or not at all; settled after the synced commit.",
        f"{_ADDRESSES}::DeviceEvents",
    ),
    row(
        "Cloud-to-device messages (devices)",
        _EXACT,
        f"{_NODE}::test_an_abandoned_message_comes_again_and_a_rejected_one_is_gone",
        "The delivery tag is the lock token.",
        f"{_ADDRESSES}::Devicebound",
    ),
    row(
        "Direct methods (devices, modules)",
        _EXACT,
        f"{_NODE}::test_a_method_is_answered_with_the_devices_status",
        "",
        f"{_ADDRESSES}::DeviceMethods",
    ),
    row(
        "Twins (devices, modules)",
        _APPROXIMATE,
        f"{_DEVICES}::test_the_twin_is_read_patched_and_followed",
        "As the device SDKs speak it; a patch is answered 204 as over MQTT, the other statuses of successes are 200.",
        f"{_ADDRESSES}::DeviceTwin",
    ),
    row(
        "One connection of an identity",
        _APPROXIMATE,
        f"{_DEVICES}::test_another_connection_takes_over",
        "Links on a newer connection detach the older ones; amqp:link:detach-forced with 409002 in the description.",
        "local_hub/fronts/amqp/clients.py::Client",
    ),
    row(
        "Error conditions",
        _DOCUMENTED,
        f"{_SERVICES}::test_the_fifty_first_message_is_over_the_limit",
        "The description is the JSON of an error body.",
        "local_hub/fronts/amqp/conditions.py::condition_of",
    ),
    row(
        "Module inputs on the hub",
        _REFUSED,
        f"{_DEVICES}::test_module_inputs_are_refused_by_name",
        "amqp:not-implemented; only an edge hub delivers inputs.",
        "local_hub/fronts/amqp/links.py",
    ),
    row(
        "AMQP over WebSocket",
        _EXACT,
        f"{_SERVICES}::test_azure_iot_hub_sends_over_websockets",
        "On the HTTPS port, which must be 443 for the Azure SDKs.",
        "local_hub/fronts/websocket.py::WebSocketProtocol",
    ),
    row(
        "Transactions",
        _REFUSED,
        "tests/iot_core/amqp/test_codec.py::test_wrong_composites_are_named",
        "amqp:not-implemented, as in the service.",
        "iot_core/amqp/performatives.py",
    ),
    row(
        "Link resumption",
        _REFUSED,
        "tests/iot_core/amqp/test_violations.py::test_mistakes_that_detach_the_link",
        "amqp:not-implemented, as in the service.",
        "iot_core/amqp/receiver.py::Receiver",
    ),
)

_EVENT_HUB = area(
    "Event Hubs-compatible endpoint (AMQP)",
    row(
        "Partitions and consumer groups",
        _EXACT,
        "tests/local_hub/fronts/test_event_hub_sdk.py::"
        "test_telemetry_is_read_back_with_all_that_the_sdk_and_the_hub_said",
        "By offset, sequence number or time, as far as credit goes.",
        f"{_ADDRESSES}::EventPartition",
    ),
    row(
        "Checkpoints",
        _EXACT,
        f"{_EVENTS}::test_a_reader_resumes_behind_its_checkpoint",
        "",
        "local_hub/eventhub/positions.py::Position",
    ),
    row(
        "Annotations and properties of events",
        _DOCUMENTED,
        "tests/local_hub/eventhub/test_amqp_message.py::test_what_the_hub_knows_is_in_annotations",
        "Offsets are sequence numbers in decimal digits; iothub-outputname and x-opt-partition-key (the device id) are "
        "guesses.",
        "local_hub/eventhub/amqp_message.py::amqp_message",
    ),
    row(
        "Owner levels (epoch) and five readers",
        _DOCUMENTED,
        f"{_EVENTS}::test_a_higher_owner_level_takes_a_partition_over",
        "amqp:link:stolen for who has to leave or may not come in; amqp:resource-limit-exceeded for the sixth.",
        "local_hub/eventhub/receivers.py::Receivers",
    ),
    row(
        "$management READ",
        _EXACT,
        f"{_EVENTS}::test_properties_of_the_event_hub_and_its_partitions",
        "Properties of the Event Hub and of a partition; other operations are refused.",
        f"{_ADDRESSES}::Management",
    ),
    row(
        "Last enqueued event with each event",
        _EXACT,
        f"{_EVENTS}::test_the_last_enqueued_event_is_told_with_each_event",
        "",
        "local_hub/fronts/amqp/event_links.py",
    ),
    row(
        "Redirect from messages/events",
        _DOCUMENTED,
        f"{_EVENTS}::test_the_hubs_own_name_leads_there",
        "amqp:link:redirect to the same host, port 5671 and the Event Hub's name.",
        f"{_ADDRESSES}::HubEvents",
    ),
    row(
        "Sending to the endpoint",
        _REFUSED,
        f"{_EVENTS}::test_nothing_can_be_sent_to_it",
        "amqp:unauthorized-access, as in the service, whose policies only listen.",
        f"{_ADDRESSES}::EventHubEntity",
    ),
    row(
        "Emulator mode without TLS",
        _APPROXIMATE,
        f"{_EVENTS}::test_the_emulators_clients_need_no_tls",
        "hub run --eventhub-plain-port 5672; the real service has no such.",
        "local_hub/config.py::HubConfig",
    ),
)

ROWS = (*_AMQP, *_EVENT_HUB)
