"""Messages over HTTPS and the rules of cloud-to-device messages."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_HTTP = "tests/local_hub/fronts/test_device_http.py"
_CORE = "tests/local_hub/test_c2d.py"
_FEEDBACK = "tests/local_hub/test_c2d_feedback.py"
_BOUND, _BATCHES = "/devices/{device}/messages/deviceBound", "/messages/serviceBound/feedback"
_SETTLED = f"{_HTTP}::test_feedback_is_received_abandoned_and_completed"
_C2D = "local_hub/c2d/cloud_to_device.py::CloudToDevice"

_HTTPS = area(
    "Messages (HTTPS)",
    row(
        f"GET {_BATCHES}",
        _APPROXIMATE,
        _SETTLED,
        "Which headers the service sends with a batch is not documented; here the lock token is in ETag.",
    ),
    row(f"DELETE {_BATCHES}/{{lock}}", _DOCUMENTED, _SETTLED),
    row(f"POST {_BATCHES}/{{lock}}/abandon", _DOCUMENTED, _SETTLED),
    row(
        "DELETE /devices/{device}/commands",
        _DOCUMENTED,
        f"{_HTTP}::test_a_purge_says_how_many_there_were",
        "Messages that are locked are purged too.",
    ),
    row(
        "POST /devices/{device}/messages/events",
        _EXACT,
        "tests/node/test_node_device.py::test_over_https_a_device_sends_single_messages_and_batches",
        "Batches too, up to 256 KB of messages.",
    ),
    row(
        f"GET {_BOUND}",
        _APPROXIMATE,
        f"{_HTTP}::test_a_message_comes_with_its_properties_in_headers",
        "What no header can hold in a property (control characters, beyond ASCII, %) is percent-encoded.",
    ),
    row(
        f"DELETE {_BOUND}/{{lock}}",
        _EXACT,
        "tests/node/test_node_device.py::test_over_https_a_device_takes_messages",
        "Completes, or rejects with ?reject.",
    ),
    row(f"POST {_BOUND}/{{lock}}/abandon", _DOCUMENTED, f"{_HTTP}::test_an_abandoned_message_comes_again_counted"),
    row(
        "Twins, methods and module messages over device HTTPS",
        _REFUSED,
        f"{_HTTP}::test_modules_have_no_endpoint_for_messages",
        "404, as in the service, which has none.",
        "local_hub/fronts/refusals.py::not_found",
    ),
    row(
        "GET /$iothub/websocket",
        _EXACT,
        "tests/local_hub/fronts/test_websocket.py::test_the_sdk_works_over_websockets",
        "MQTT (subprotocol mqtt) and AMQP (AMQPWSB10).",
    ),
    row(
        "GET /$servicebus/websocket",
        _EXACT,
        "tests/local_hub/fronts/test_amqp_services.py::test_azure_iot_hub_sends_over_websockets",
        "AMQP (subprotocol AMQPWSB10).",
    ),
)

_RULES = area(
    "Cloud-to-device messages",
    row(
        "Queue of a device",
        _DOCUMENTED,
        f"{_CORE}::test_the_51st_message_is_refused_until_one_has_ended",
        "50 messages deep, in the order of sending, 64 KB a message; kept on disk; goes with its device.",
        _C2D,
    ),
    row(
        "Locks and delivery count",
        _DOCUMENTED,
        f"{_CORE}::test_an_abandoned_message_comes_again_first_until_the_maximum_is_reached",
        "60 seconds; only an abandon counts, and the one that reaches the maximum dead-letters the message.",
        "iot_core/c2d.py::TRANSITIONS",
    ),
    row(
        "Expiry",
        _APPROXIMATE,
        f"{_CORE}::test_an_expiry_that_is_over_or_over_two_days_ahead_is_refused",
        "One hour unless the message says otherwise; a time that is over or more than two days ahead is refused with "
        "403009.",
        "local_hub/c2d/messages.py::Outgoing",
    ),
    row(
        "Topics of 65,535 bytes",
        _APPROXIMATE,
        f"{_CORE}::test_what_no_cloud_to_device_message_has_is_refused",
        "A message whose properties do not fit into an MQTT topic is refused when it is sent, for every protocol.",
        "local_hub/c2d/messages.py::Outgoing",
    ),
    row(
        "iothub-ack none, positive, negative, full",
        _DOCUMENTED,
        f"{_FEEDBACK}::test_feedback_is_what_the_sender_asked_for",
        "",
        "iot_core/c2d.py::Ack",
    ),
    row(
        "Feedback",
        _APPROXIMATE,
        f"{_FEEDBACK}::test_batches_are_fifteen_seconds_apart",
        "64 records or 15 seconds since the batch before; batches go with their devices; only an abandon counts there "
        "too.",
        "local_hub/c2d/feedback.py::Feedback",
    ),
    row(
        "Hub options (cloudToDevice)",
        _DOCUMENTED,
        f"{_CORE}::test_options_outside_the_service_s_ranges_are_refused",
        "Ranges and defaults of the service, in the hub's configuration.",
        "local_hub/c2d/options.py::C2dOptions",
    ),
)

ROWS = (*_HTTPS, *_RULES)
