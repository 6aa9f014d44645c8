"""Topic names and topic filters (MQTT 3.1.1, section 4.7) and the strings they are made of (section 1.5.3)."""

from __future__ import annotations

from iot_core.errors import LocalProtocolError

__all__ = ["check_filter", "check_string", "check_topic", "topic_matches"]

MAX_STRING_BYTES = 65535


def check_string(text: str) -> None:
    """Raise LocalProtocolError unless the text can travel as an MQTT string: UTF-8, no U+0000, at most 65,535 bytes."""
    if "\0" in text:
        raise LocalProtocolError("an MQTT string holds U+0000")
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise LocalProtocolError("an MQTT string holds a surrogate, which UTF-8 has no form for") from None
    if length > MAX_STRING_BYTES:
        raise LocalProtocolError(f"an MQTT string of {length} bytes is longer than {MAX_STRING_BYTES}")


def check_topic(topic: str) -> None:
    """Raise LocalProtocolError unless a message can be published to this topic: not empty, no wildcards."""
    if not topic:
        raise LocalProtocolError("a topic is empty")
    if "+" in topic or "#" in topic:
        raise LocalProtocolError(f"the topic {topic!r} holds a wildcard")
    check_string(topic)


def check_filter(topic_filter: str) -> None:
    """Raise LocalProtocolError unless this is a topic filter: wildcards fill a whole level, and `#` is the last."""
    if not topic_filter:
        raise LocalProtocolError("a topic filter is empty")
    check_string(topic_filter)
    levels = topic_filter.split("/")
    for level in levels:
        if len(level) > 1 and ("+" in level or "#" in level):
            raise LocalProtocolError(f"the topic filter {topic_filter!r} has a wildcard inside a level")
    if "#" in levels[:-1]:
        raise LocalProtocolError(f"the topic filter {topic_filter!r} has levels after #")


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter. A filter that begins with a wildcard leaves out topics that begin with `$`.

    `a/#` also takes in `a` itself. Both arguments must be valid.
    """
    if topic_filter == topic:
        return True
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        del wanted[-1]
        if len(given) < len(wanted):
            return False
    elif len(given) != len(wanted):
        return False
    return all(level in ("+", actual) for level, actual in zip(wanted, given, strict=False))
