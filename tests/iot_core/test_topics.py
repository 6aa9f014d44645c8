from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import MessageError
from iot_core.identity import Identity
from iot_core.message import Message
from iot_core.topics import (
    DESIRED_FILTER,
    METHODS_FILTER,
    TWIN_RESPONSES_FILTER,
    ConnectInfo,
    DesiredPatch,
    DeviceBound,
    DeviceTopic,
    HubTopic,
    MethodRequest,
    MethodResponse,
    ModuleInput,
    Subscription,
    Telemetry,
    TwinGet,
    TwinPatch,
    TwinResponse,
    desired_patch,
    devicebound,
    devicebound_filter,
    inputs_filter,
    method_request,
    method_response,
    module_input,
    parse_device_topic,
    parse_hub_topic,
    parse_subscription,
    parse_username,
    telemetry,
    twin_get,
    twin_patch_reported,
    twin_response,
    username,
)

DEVICE = Identity("d:1")
MODULE = Identity("d:1", "m")
MESSAGE = Message(b"body", {"a b": "c/d"}, {"messageId": "1"})
BAG = "%24.mid=1&a%20b=c%2Fd"


@pytest.mark.parametrize(
    ("topic", "parsed"),
    [
        (f"devices/d:1/messages/events/{BAG}", Telemetry(DEVICE, BAG)),
        ("devices/d:1/messages/events/", Telemetry(DEVICE, "")),
        ("devices/d:1/messages/events", Telemetry(DEVICE, "")),
        (f"devices/d:1/modules/m/messages/events/{BAG}", Telemetry(MODULE, BAG)),
        ("devices/modules/messages/events/", Telemetry(Identity("modules"), "")),
        ("$iothub/twin/GET/?$rid=ab-1", TwinGet("ab-1")),
        ("$iothub/twin/GET/?%24rid=a%20b", TwinGet("a%20b")),
        ("$iothub/twin/PATCH/properties/reported/?$rid=7", TwinPatch("7")),
        ("$iothub/twin/PATCH/properties/reported/?$rid=7&$version=12", TwinPatch("7", 12)),
        ("$iothub/methods/res/200/?$rid=1a", MethodResponse(200, "1a")),
        ("$iothub/methods/res/-3/?$rid=1a", MethodResponse(-3, "1a")),
    ],
)
def test_what_a_device_publishes(topic: str, parsed: DeviceTopic) -> None:
    assert parse_device_topic(topic) == parsed


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "devices",
        "devices/",
        "devices/d",
        "devices//messages/events/",
        "devices/d/messages/eventsx",
        "devices/a b/messages/events/",
        "devices/d/modules//messages/events/",
        "devices/d/modules/m",
        "devices/d/modules/m/x/messages/events/",
        "devices/d/messages/devicebound/",
        "$iothub/twin/GET/",
        "$iothub/twin/GET/?$rid=",
        "$iothub/twin/get/?$rid=1",
        "$iothub/twin/GET/x/?$rid=1",
        "$iothub/twin/PATCH/properties/desired/?$rid=1",
        "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x",
        "$iothub/methods/res/ok/?$rid=1",
        "$iothub/methods/res/٣/?$rid=1",
        "$iothub/methods/POST/x/?$rid=1",
        "other/topic",
        "devices/d/messages/events/" + "x" * 65_536,
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(MessageError):
        parse_device_topic(topic)


@given(st.text(max_size=60), st.sampled_from(["", "devices/", "$iothub/", "$iothub/twin/", "devices/d/modules/"]))
def test_any_topic_is_parsed_or_refused_by_a_message_error(text: str, start: str) -> None:
    for parse in (parse_device_topic, parse_hub_topic):
        with contextlib.suppress(MessageError):
            assert parse(start + text) is not None


def test_telemetry_gives_the_whole_message() -> None:
    assert Telemetry(DEVICE, BAG).message(b"body") == MESSAGE


@pytest.mark.parametrize(
    ("topic", "parsed"),
    [
        (telemetry(DEVICE, MESSAGE), Telemetry(DEVICE, BAG)),
        (telemetry(MODULE, MESSAGE), Telemetry(MODULE, BAG)),
        (twin_get("r"), TwinGet("r")),
        (twin_patch_reported("r"), TwinPatch("r")),
        (twin_patch_reported("r", 4), TwinPatch("r", 4)),
        (method_response(404, "r"), MethodResponse(404, "r")),
    ],
)
def test_what_a_client_builds_the_hub_reads(topic: str, parsed: DeviceTopic) -> None:
    assert parse_device_topic(topic) == parsed


@pytest.mark.parametrize(
    ("topic", "parsed"),
    [
        (twin_response(200, "r"), TwinResponse(200, "r")),
        (twin_response(204, "r", 88), TwinResponse(204, "r", 88)),
        (desired_patch(5), DesiredPatch(5)),
        (method_request("reboot", "1f"), MethodRequest("reboot", "1f")),
        (method_request("thermostat1*getMaxMin", "1f"), MethodRequest("thermostat1*getMaxMin", "1f")),
        (method_request("a/b+c#d%", "1f"), MethodRequest("a/b+c#d%", "1f")),
        (devicebound(DEVICE, MESSAGE), DeviceBound(DEVICE, BAG)),
        (module_input(MODULE, "in 1", MESSAGE), ModuleInput(MODULE, "in 1", BAG)),
    ],
)
def test_what_the_hub_builds_a_client_reads(topic: str, parsed: HubTopic) -> None:
    assert parse_hub_topic(topic) == parsed


@pytest.mark.parametrize(
    ("built", "topic"),
    [
        (twin_response(204, "ho", 88), "$iothub/twin/res/204/?$rid=ho&$version=88"),
        (desired_patch(5), "$iothub/twin/PATCH/properties/desired/?$version=5"),
        (method_request("a*b", "1f"), "$iothub/methods/POST/a*b/?$rid=1f"),
        (module_input(MODULE, "in", MESSAGE), f"devices/d:1/modules/m/inputs/in/{BAG}"),
        (devicebound(DEVICE, MESSAGE), f"devices/d:1/messages/devicebound/{BAG}"),
        (twin_patch_reported("r", 4), "$iothub/twin/PATCH/properties/reported/?$rid=r&$version=4"),
    ],
)
def test_topics_are_built_as_documented(built: str, topic: str) -> None:
    assert built == topic


@pytest.mark.parametrize(
    "topic",
    ["$iothub/twin/PATCH/properties/desired/?$rid=1", "devices/d/inputs/x/", "x", "devices/d/modules/m/inputs/"],
)
def test_a_client_refuses_other_topics(topic: str) -> None:
    with pytest.raises(MessageError):
        parse_hub_topic(topic)


@pytest.mark.parametrize(
    ("identity", "topic_filter", "subscription"),
    [
        (DEVICE, TWIN_RESPONSES_FILTER, Subscription.TWIN_RESPONSES),
        (MODULE, DESIRED_FILTER, Subscription.DESIRED),
        (MODULE, METHODS_FILTER, Subscription.METHODS),
        (DEVICE, devicebound_filter(DEVICE), Subscription.DEVICEBOUND),
        (MODULE, inputs_filter(MODULE), Subscription.INPUTS),
        (MODULE, "devices/d:1/modules/m/#", Subscription.INPUTS),
    ],
)
def test_what_a_client_may_subscribe_to(identity: Identity, topic_filter: str, subscription: Subscription) -> None:
    assert parse_subscription(topic_filter, identity) is subscription


@pytest.mark.parametrize(
    ("identity", "topic_filter"),
    [
        (DEVICE, "#"),
        (DEVICE, "devices/other/messages/devicebound/#"),
        (DEVICE, "devices/d:1/#"),
        (DEVICE, inputs_filter(MODULE)),
        (MODULE, devicebound_filter(DEVICE)),
        (MODULE, "devices/d:1/modules/other/inputs/#"),
    ],
)
def test_what_a_client_may_not_subscribe_to(identity: Identity, topic_filter: str) -> None:
    with pytest.raises(MessageError, match="cannot be subscribed"):
        parse_subscription(topic_filter, identity)


VERSION = "2021-04-12"


@pytest.mark.parametrize(
    ("text", "info"),
    [
        (f"h/d/?api-version={VERSION}", ConnectInfo("h", Identity("d"), VERSION)),
        (f"h/d/m/?api-version={VERSION}", ConnectInfo("h", Identity("d", "m"), VERSION)),
        (f"h/d/api-version={VERSION}", ConnectInfo("h", Identity("d"), VERSION)),
        (f"h/d/m/api-version={VERSION}", ConnectInfo("h", Identity("d", "m"), VERSION)),
        (f"h/d?api-version={VERSION}", ConnectInfo("h", Identity("d"), VERSION)),
        (f"h/d/m?api-version={VERSION}", ConnectInfo("h", Identity("d", "m"), VERSION)),
        ("h/d?api-version", ConnectInfo("h", Identity("d"))),
        ("h/d", ConnectInfo("h", Identity("d"))),
        ("h/d/", ConnectInfo("h", Identity("d"))),
        ("h/d/m", ConnectInfo("h", Identity("d", "m"))),
        ("h/d/m/", ConnectInfo("h", Identity("d", "m"))),
        ("h/a?b=c/?api-version=2020-05-31-preview", ConnectInfo("h", Identity("a?b=c"), "2020-05-31-preview")),
        ("h/a%20b/?api-version=2020-09-30", ConnectInfo("h", Identity("a%20b"), "2020-09-30")),
        (
            "h/d/?api-version=2020-09-30&DeviceClientType=py-iothub%2F2.14%20%28x/y%29&model-id=dtmi%3Acom%3Aa%3B1",
            ConnectInfo("h", Identity("d"), "2020-09-30", "dtmi:com:a;1", "py-iothub/2.14 (x/y)"),
        ),
        (
            "h/d/$edgeHub/?api-version=2020-09-30&auth-chain=d%3Be",
            ConnectInfo("h", Identity("d", "$edgeHub"), "2020-09-30", auth_chain="d;e"),
        ),
    ],
)
def test_user_names_in_the_field(text: str, info: ConnectInfo) -> None:
    assert parse_username(text) == info


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "h/",
        "/d/",
        "h//?api-version=2021-04-12",
        "h/d/m/x/?a=b",
        "h/d/?api-version=latest",
        "h/d/?" + "x" * 5000,
    ],
)
def test_a_user_name_that_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse_username(text)


@pytest.mark.parametrize("identity", [DEVICE, MODULE])
def test_a_user_name_comes_back(identity: Identity) -> None:
    text = username("h", identity, client_type="edgeyard/0.1 (x)", model_id="dtmi:a;1")
    assert parse_username(text) == ConnectInfo("h", identity, VERSION, "dtmi:a;1", "edgeyard/0.1 (x)")
