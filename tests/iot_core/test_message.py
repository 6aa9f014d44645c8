from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import MessageError
from iot_core.message import SYSTEM_PROPERTIES, Message, decode_bag, encode_bag

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = texts.filter(lambda name: name and not name.startswith("$."))
messages = st.builds(
    Message,
    st.just(b""),
    st.dictionaries(names, st.none() | texts, max_size=5),
    st.dictionaries(st.sampled_from(sorted(SYSTEM_PROPERTIES.values())), texts, max_size=5),
)


@given(messages)
def test_a_bag_comes_back_as_it_went(message: Message) -> None:
    assert decode_bag(encode_bag(message)) == (message.properties, message.system)


@given(messages)
def test_a_bag_may_stand_in_a_topic(message: Message) -> None:
    assert not set("/#+ ?\0") & set(encode_bag(message))


@pytest.mark.parametrize(
    ("bag", "properties", "system"),
    [
        ("", {}, {}),
        ("a", {"a": None}, {}),
        ("a=", {"a": ""}, {}),
        ("a=b", {"a": "b"}, {}),
        ("a=b=c", {"a": "b=c"}, {}),
        ("?a=b&c=d/", {"a": "b", "c": "d"}, {}),
        ("a%20b=c%2Fd", {"a b": "c/d"}, {}),
        ("a=1+1", {"a": "1+1"}, {}),
        ("a=b&", {"a": "b"}, {}),
        ("a=1&a=2", {"a": "2"}, {}),
        ("x=%C3%A4", {"x": "ä"}, {}),
        (
            "%24.mid=1&$.ct=application%2Fjson&%24.ce=utf-8",
            {},
            {"messageId": "1", "contentType": "application/json", "contentEncoding": "utf-8"},
        ),
        (
            "%24.on=out&%24.cdid=d&%24.cmid=m",
            {},
            {"outputName": "out", "connectionDeviceId": "d", "connectionModuleId": "m"},
        ),
        (
            "$.sub=thermostat1&$.ifid=i&$.schema=s&$.ctime=t",
            {},
            {"subject": "thermostat1", "interfaceId": "i", "messageSchema": "s", "creationTimeUtc": "t"},
        ),
        ("$.new=1", {}, {"$.new": "1"}),
        (
            "iothub-ack=full&%24.to=%2Fdevices%2Fd%2Fmessages%2FdeviceBound",
            {"iothub-ack": "full"},
            {"to": "/devices/d/messages/deviceBound"},
        ),
    ],
)
def test_how_a_bag_is_read(bag: str, properties: dict[str, str | None], system: dict[str, str]) -> None:
    assert decode_bag(bag) == (properties, system)


def test_how_a_bag_is_written() -> None:
    message = Message(b"", {"a b": "c/d", "flag": None, "empty": ""}, {"messageId": "m 1", "contentType": "text/plain"})
    assert encode_bag(message) == "%24.mid=m%201&%24.ct=text%2Fplain&a%20b=c%2Fd&flag&empty="


def test_what_the_hub_stamps_is_not_written() -> None:
    message = Message(b"", {}, {"enqueuedTime": "t", "inputName": "in", "connectionAuthMethod": "{}", "messageId": "1"})
    assert encode_bag(message) == "%24.mid=1"


@pytest.mark.parametrize("bag", ["=1", "a=%ff", "%E4=1", "a=" + "x" * 65_535])
def test_a_bag_that_is_refused(bag: str) -> None:
    with pytest.raises(MessageError):
        decode_bag(bag)


@pytest.mark.parametrize(
    "message",
    [
        Message(b"", {"$.mid": "1"}),
        Message(b"", {"": "1"}),
        Message(b"", {}, {"mid": "1"}),
        Message(b"", {"a": "ä" * 20_000}),
    ],
)
def test_a_message_that_has_no_bag(message: Message) -> None:
    with pytest.raises(MessageError):
        encode_bag(message)


def test_the_size_counts_body_system_values_and_own_names_and_values() -> None:
    assert Message(b"12345", {"ab": "ä", "c": None}, {"messageId": "xyz"}).size == 5 + 2 + 2 + 1 + 3
