"""MQTT."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_RAW = "tests/local_hub/fronts/test_mqtt.py"
_SDK = "tests/local_hub/fronts/test_device_sdk.py"
_C2D = "tests/local_hub/fronts/test_c2d_mqtt.py"
_TOPICS = "iot_core/topics.py"

ROWS = area(
    "MQTT (port 8883)",
    row(
        "CONNECT",
        _EXACT,
        f"{_SDK}::test_a_wrong_key_is_refused",
        "Return code 5 for every refusal; one connection per identity, the newest one.",
        "local_hub/fronts/mqtt.py::MqttFront",
    ),
    row(
        "User names",
        _DOCUMENTED,
        "tests/iot_core/test_topics.py::test_user_names_in_the_field",
        "As the SDKs and others in the field write them; without an api-version too.",
        "iot_core/usernames.py::parse_username",
    ),
    row(
        "Takeover",
        _EXACT,
        f"{_SDK}::test_a_second_client_of_the_same_device_takes_over",
        "",
        "local_hub/sessions.py::Sessions.attach",
    ),
    row(
        "Keep-alive",
        _DOCUMENTED,
        "tests/transport/test_mqtt_server.py::test_silence_allowed_is_one_and_a_half_keep_alives_up_to_a_limit",
        "One and a half times the client's, 1,767 s at most.",
        "transport/mqtt_server.py::MqttServerProtocol",
    ),
    row(
        "Telemetry",
        _EXACT,
        f"{_SDK}::test_telemetry_is_seen_on_the_admin_stream",
        "PUBACK after the synced commit; over 256 KB or QoS 2 ends the connection.",
        f"{_TOPICS}::Telemetry",
    ),
    row(
        "Property bags",
        _DOCUMENTED,
        "tests/iot_core/test_message.py::test_how_a_bag_is_read",
        "",
        "iot_core/message.py::decode_bag",
        "iot_core/message.py::encode_bag",
    ),
    row(
        "Twin get",
        _EXACT,
        f"{_SDK}::test_the_twin_is_read_and_reported_properties_are_seen_by_the_service",
        "",
        f"{_TOPICS}::TwinGet",
        f"{_TOPICS}::Subscription.TWIN_RESPONSES",
    ),
    row(
        "Reported properties",
        _EXACT,
        f"{_SDK}::test_the_twin_is_read_and_reported_properties_are_seen_by_the_service",
        "$version in the topic or the body pins the base version.",
        f"{_TOPICS}::TwinPatch",
    ),
    row(
        "Desired properties",
        _EXACT,
        f"{_SDK}::test_desired_changes_reach_the_handler",
        "Sent with the granted QoS; not queued for devices that are away.",
        f"{_TOPICS}::Subscription.DESIRED",
    ),
    row(
        "Direct methods",
        _EXACT,
        f"{_SDK}::test_a_method_is_answered",
        "",
        f"{_TOPICS}::MethodResponse",
        f"{_TOPICS}::Subscription.METHODS",
    ),
    row(
        "Persistent sessions",
        _EXACT,
        f"{_SDK}::test_a_reconnect_keeps_the_subscriptions",
        "Subscriptions outlive connections and restarts of the hub.",
        "local_hub/fronts/mqtt_sessions.py::MqttSessions",
    ),
    row(
        "Will and RETAIN",
        _DOCUMENTED,
        f"{_RAW}::test_a_will_is_sent_when_the_device_is_gone_without_a_word",
        "Become properties of telemetry: iothub-MessageType and mqtt-retain.",
        "local_hub/fronts/mqtt_telemetry.py::checked_message",
    ),
    row(
        "Token expiry",
        _DOCUMENTED,
        f"{_RAW}::test_the_end_of_a_token_ends_the_connection",
        "The connection is cut when its token is no longer valid.",
        "local_hub/fronts/mqtt_link.py::MqttLink",
    ),
    row(
        "Subscriptions",
        _APPROXIMATE,
        f"{_RAW}::test_a_filter_that_iot_hub_does_not_know_ends_the_connection",
        "A filter that the service does not document ends the connection.",
        f"{_TOPICS}::parse_subscription",
    ),
    row(
        "Cloud-to-device messages",
        _EXACT,
        f"{_C2D}::test_the_sdk_gets_what_came_while_it_was_away_once_and_in_order",
        "What was not acknowledged comes again after 60 seconds or with the next connection, under a new packet id; "
        "what waited also comes to a clean session, on SUBSCRIBE.",
        f"{_TOPICS}::Subscription.DEVICEBOUND",
    ),
    row(
        "Module inputs",
        _REFUSED,
        f"{_RAW}::test_modules_may_ask_for_inputs_and_devices_for_messages",
        "The subscription is granted, as in the service; only an edge hub delivers inputs.",
        f"{_TOPICS}::Subscription.INPUTS",
    ),
    row(
        "MQTT over WebSocket",
        _EXACT,
        "tests/local_hub/fronts/test_websocket.py::test_the_sdk_works_over_websockets",
        "On the HTTPS port, which must be 443 for the Azure SDKs.",
        "local_hub/fronts/websocket.py::WebSocketProtocol",
    ),
    row(
        "Malformed packets",
        _APPROXIMATE,
        "tests/local_hub/fronts/test_malformed_mqtt.py::test_a_device_that_breaks_the_protocol_is_hung_up_on",
        "The connection ends, as the standard has it.",
        "transport/mqtt_server.py::MqttServerProtocol",
    ),
    row(
        "MQTT 5",
        _REFUSED,
        "tests/local_hub/fronts/test_malformed_mqtt.py::test_a_stranger_is_told_what_the_standard_says_and_hung_up_on",
        "CONNACK 1, unacceptable protocol version.",
        "iot_core/mqtt/decoder.py::Decoder",
    ),
    row(
        "Device streams",
        _REFUSED,
        "tests/local_hub/fronts/test_refused_by_name.py::test_device_streams",
        "A preview of the service: the subscription ends the connection, the AMQP address is amqp:not-found.",
        f"{_TOPICS}::parse_subscription",
    ),
)
