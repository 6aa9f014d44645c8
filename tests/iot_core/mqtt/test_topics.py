"""Topic names, topic filters and which topics fall under which filter (MQTT 3.1.1, section 4.7)."""

from __future__ import annotations

import pytest

from iot_core.errors import LocalProtocolError
from iot_core.mqtt import check_filter, check_topic, topic_matches


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/b"),
        ("a/#", "a/b/c"),
        ("a/#", "a"),
        ("#", "a/b"),
        ("+", "a"),
        ("+/b", "a/b"),
        ("+/+", "/a"),
        ("/+", "/a"),
        ("a/+/c", "a//c"),
        ("a/+", "a/"),
        ("$iothub/twin/res/#", "$iothub/twin/res/200/?$rid=1"),
        ("devices/d/messages/devicebound/#", "devices/d/messages/devicebound/%24.mid=1"),
    ],
)
def test_topic_falls_under_filter(topic_filter: str, topic: str) -> None:
    assert topic_matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("a/b", "a/B"),
        ("a/b", "a/b/"),
        ("a/#", "ab"),
        ("a/+", "a"),
        ("a/+", "a/b/c"),
        ("+", "/a"),
        ("#", "$iothub/twin/res/200"),
        ("+/twin", "$iothub/twin"),
        ("a/b/#", "a"),
    ],
)
def test_topic_does_not_fall_under_filter(topic_filter: str, topic: str) -> None:
    assert not topic_matches(topic_filter, topic)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/+/b", "a/#", "/", "+/+/#", "$share/x"])
def test_valid_filters_pass(topic_filter: str) -> None:
    check_filter(topic_filter)


@pytest.mark.parametrize("topic_filter", ["", "a#", "a/#/b", "#/a", "a+", "a/b+/c", "a\0", "\ud800", "x" * 65536])
def test_invalid_filters_are_refused(topic_filter: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "\udfff", "é" * 32768])
def test_invalid_topics_are_refused(topic: str) -> None:
    with pytest.raises(LocalProtocolError):
        check_topic(topic)


def test_longest_topic_passes() -> None:
    check_topic("x" * 65535)
