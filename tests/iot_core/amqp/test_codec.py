"""AMQP values, composites and messages survive the way to bytes and back; malformed ones are named."""

from __future__ import annotations

import math
import struct
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.amqp import (
    AmqpSequence,
    AmqpValue,
    AmqpViolation,
    Data,
    Header,
    Message,
    Properties,
    decode,
    decode_batch,
    decode_message,
    encode,
    encode_message,
)
from iot_core.amqp.composite import read_composite
from iot_core.amqp.performatives import Attach, Close, Disposition, Open, Rejected, Source, Transfer, error_condition
from iot_core.amqp.types import (
    MAX_DEPTH,
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)
from iot_core.errors import LocalProtocolError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
ascii_texts = st.text(st.characters(max_codepoint=127), max_size=300)
single_floats = st.floats(width=32, allow_nan=False)
NUMBERS = {
    "ubyte": st.integers(0, 2**8 - 1).map(UByte),
    "ushort": st.integers(0, 2**16 - 1).map(UShort),
    "uint": st.integers(0, 2**32 - 1).map(UInt),
    "ulong": st.integers(0, 2**64 - 1).map(ULong),
    "byte": st.integers(-(2**7), 2**7 - 1).map(Byte),
    "short": st.integers(-(2**15), 2**15 - 1).map(Short),
    "int": st.integers(-(2**31), 2**31 - 1).map(Int),
    "long": st.integers(-(2**63), 2**63 - 1),
    "timestamp": st.integers(-(2**63), 2**63 - 1).map(Timestamp),
    "float": single_floats.map(Float),
    "double": st.floats(allow_nan=False),
}
PRIMITIVES = {
    **NUMBERS,
    "null": st.none(),
    "boolean": st.booleans(),
    "char": st.characters(exclude_categories=["Cs"]).map(Char),
    "uuid": st.uuids(),
    "binary": st.binary(max_size=300),
    "string": texts,
    "symbol": ascii_texts.map(Symbol),
}
primitives = st.one_of(*PRIMITIVES.values())
arrays = st.sampled_from(sorted(PRIMITIVES)).flatmap(
    lambda kind: st.builds(Array, st.just(kind), st.lists(PRIMITIVES[kind], max_size=6).map(tuple))
)
keys = st.one_of(texts, st.binary(max_size=9), NUMBERS["ulong"])
values = st.recursive(
    primitives | arrays,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(keys, inner, max_size=5),
        st.builds(Described, NUMBERS["ulong"] | PRIMITIVES["symbol"], inner),
        st.builds(Array, st.just("list"), st.lists(st.lists(inner, max_size=3), max_size=3).map(tuple)),
        st.builds(Array, st.just("map"), st.lists(st.dictionaries(keys, inner, max_size=2), max_size=3).map(tuple)),
    ),
    max_leaves=12,
)
annotation_maps: st.SearchStrategy[Any] = st.none() | st.dictionaries(PRIMITIVES["symbol"], values, max_size=4)
messages = st.builds(
    Message,
    header=st.none()
    | st.builds(Header, durable=st.booleans(), priority=st.integers(0, 255), ttl=st.integers(0, 2**32 - 1)),
    delivery_annotations=annotation_maps,
    message_annotations=annotation_maps,
    properties=st.none()
    | st.builds(
        Properties,
        message_id=st.none() | texts | st.uuids() | NUMBERS["ulong"],
        user_id=st.none() | st.binary(max_size=20),
        content_type=st.none() | ascii_texts,
        absolute_expiry_time=st.none() | st.integers(0, 2**60),
    ),
    application_properties=st.none() | st.dictionaries(texts, primitives, max_size=4),
    body=st.builds(Data, st.lists(st.binary(max_size=300), min_size=1, max_size=3).map(tuple))
    | st.builds(AmqpValue, values)
    | st.builds(AmqpSequence, st.lists(st.lists(values, max_size=3), min_size=1, max_size=3).map(tuple)),
    footer=annotation_maps,
)


@given(values)
def test_values_survive_with_their_types(value: object) -> None:
    decoded = decode(encode(value))
    assert decoded == value
    assert type(decoded) is type(value)


@given(messages)
def test_messages_survive(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@given(st.binary(max_size=80))
def test_bytes_decode_or_are_a_violation(data: bytes) -> None:
    for decoder in (decode, decode_message):
        try:
            decoder(data)
        except AmqpViolation as violation:
            assert violation.condition.startswith("amqp:")  # noqa: PT017


@given(messages, st.data())
def test_a_message_with_a_changed_byte_decodes_or_is_a_violation(message: Message, data: st.DataObject) -> None:
    raw = bytearray(encode_message(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_message(bytes(raw))
    except AmqpViolation as violation:
        assert violation.condition.startswith("amqp:")  # noqa: PT017


WIDE_ENCODINGS = [
    (b"\x56\x01", True),
    (b"\x56\x00", False),
    (b"\x70\x00\x00\x00\x05", UInt(5)),
    (b"\x80\x00\x00\x00\x00\x00\x00\x00\x05", ULong(5)),
    (b"\x71\xff\xff\xff\xff", Int(-1)),
    (b"\x81" + b"\xff" * 8, -1),
    (b"\xb0\x00\x00\x00\x01a", b"a"),
    (b"\xb1\x00\x00\x00\x01a", "a"),
    (b"\xb3\x00\x00\x00\x01a", Symbol("a")),
    (b"\xd0\x00\x00\x00\x04\x00\x00\x00\x00", []),
    (b"\xd1\x00\x00\x00\x08\x00\x00\x00\x02\xa1\x01a\x40", {"a": None}),
    (b"\xf0\x00\x00\x00\x07\x00\x00\x00\x02\x50\x01\x02", Array("ubyte", (UByte(1), UByte(2)))),
    (b"\xe0\x05\x02\x00\x53\x07\x43", Array("uint", (UInt(0), UInt(0)), ULong(7))),
    (b"\x72" + struct.pack(">f", 0.5), Float(0.5)),
]


@pytest.mark.parametrize(("raw", "value"), WIDE_ENCODINGS)
def test_encodings_that_we_never_write_are_read(raw: bytes, value: object) -> None:
    decoded = decode(raw)
    assert decoded == value
    assert type(decoded) is type(value)


COMPACT_ENCODINGS: list[tuple[Any, str]] = [
    (None, "40"),
    (True, "41"),
    (UInt(0), "43"),
    (UInt(255), "52ff"),
    (UInt(256), "7000000100"),
    (ULong(0), "44"),
    (ULong(9), "5309"),
    (Int(-1), "54ff"),
    (-128, "5580"),
    (128, "810000000000000080"),
    ([], "45"),
    ([True], "c0020141"),
    ("é", "a102c3a9"),
    (Symbol("ab"), "a3026162"),
    ({}, "c10100"),
    (Described(ULong(0x24), []), "00532445"),
    (Array("symbol", (Symbol("a"),)), "e00701b30000000161"),
    (uuid.UUID(int=1), "98" + "00" * 15 + "01"),
]


@pytest.mark.parametrize(("value", "raw"), COMPACT_ENCODINGS)
def test_the_smallest_encoding_is_written(value: object, raw: str) -> None:
    assert encode(value).hex() == raw


def test_not_a_number_survives() -> None:
    assert math.isnan(decode(encode(math.nan)))


MALFORMED = [
    (b"", "ends too early"),
    (b"\xa1\x05abc", "ends too early"),
    (b"\xa1\x01\xff", "utf-8"),
    (b"\xa3\x01\xff", "ascii"),
    (b"\x56\x02", "a boolean is 2"),
    (b"\x73\x00\x11\x00\x00", "utf-32"),
    (b"\x15", "0x15 is no encoding"),
    (b"\xc0\x02\x01\x40\x40", "bytes follow the value"),
    (b"\xc0\x03\x01\x40\x40", "not that of its items"),
    (b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff", "4294967295 items do not fit"),
    (b"\xc1\x02\x01\x40", "a key without a value"),
    (b"\xc1\x09\x04\xa1\x01a\x40\xa1\x01a\x40", "a key twice"),
    (b"\xc1\x03\x02\x45\x40", "unhashable"),
    (b"\xf0\x00\x00\x00\x05\x00\xff\xff\xff\x40", "16777215 items is more than the 1024 allowed"),
    (b"\xe0\x02\x01\x15", "0x15"),
    (b"\xc0\x02\x01" * (MAX_DEPTH + 1) + b"\x45", "ends too early|nested|size"),
    (b"\x00" * 40, "nested deeper"),
]


@pytest.mark.parametrize(("raw", "reason"), MALFORMED)
def test_malformed_values_are_named(raw: bytes, reason: str) -> None:
    with pytest.raises(AmqpViolation, match=reason) as caught:
        decode(raw)
    assert caught.value.condition == "amqp:decode-error"


@pytest.mark.parametrize(("code", "bits"), [(0x74, 32), (0x84, 64), (0x94, 128)])
def test_decimals_are_refused_by_name(code: int, bits: int) -> None:
    with pytest.raises(AmqpViolation, match=f"decimal{bits} is not supported") as caught:
        decode(bytes((code,)) + bytes(16))
    assert caught.value.condition == "amqp:not-implemented"


@pytest.mark.parametrize("value", [UByte(256), UInt(-1), 2**63, Char("ab"), Symbol("é"), object(), {1, 2}])
def test_what_does_not_fit_is_our_own_error(value: object) -> None:
    with pytest.raises(LocalProtocolError):
        encode(value)


FIELD_COUNTS = [
    (Open(container_id="c"), 10),
    (Attach(name="l", handle=0, role=True), 14),
    (Transfer(handle=0), 11),
    (Disposition(role=True, first=0), 6),
    (Close(), 1),
]


@pytest.mark.parametrize(("performative", "count"), FIELD_COUNTS)
def test_performatives_are_written_with_all_their_fields(performative: object, count: int) -> None:
    described = decode(encode(performative))
    assert len(described.value) == count


def test_composites_survive_with_what_is_nested_in_them() -> None:
    source = Source(address="a", filter={"f": Described(Symbol("selector"), "x > 1")}, outcomes=("amqp:accepted:list",))
    attach = Attach(name="l", handle=3, role=False, source=source, properties={"com.microsoft:api-version": "2021"})
    rejected = Rejected(error=error_condition("amqp:not-found", "no", {"com.microsoft:tracking-id": "t"}))
    for original in (attach, Disposition(role=True, first=1, last=5, settled=True, state=rejected)):
        assert read_composite(encode(original), 0)[0] == original


BAD_COMPOSITES = [
    (Described(ULong(0x12), ["name"]), "a attach lacks its handle"),
    (Described(ULong(0x12), ["name", ULong(1), True]), "wrong handle: a ULong stands where a uint"),
    (Described(ULong(0x18), [None, None]), "more than its 1"),
    (Described(ULong(0x18), {}), "not a list"),
    (Described(ULong(0x99), []), "no known type"),
    (Described(ULong(0x15), [True, UInt(0), None, None, Described(ULong(0x34), [b"t"])]), "transactions"),
]


@pytest.mark.parametrize(("value", "reason"), BAD_COMPOSITES)
def test_wrong_composites_are_named(value: object, reason: str) -> None:
    with pytest.raises(AmqpViolation, match=reason):
        read_composite(encode(value), 0)


def test_descriptors_may_be_symbols() -> None:
    raw = encode(Described(Symbol("amqp:close:list"), []))
    assert read_composite(raw, 0) == (Close(), len(raw))


def test_one_symbol_stands_for_several() -> None:
    raw = encode(Described(ULong(0x10), ["c", None, None, None, None, Symbol("en-US")]))
    assert read_composite(raw, 0)[0].outgoing_locales == ("en-US",)


def test_a_batch_holds_messages() -> None:
    inner = tuple(Message(body=Data((bytes([number]),))) for number in range(3))
    batch = Message(body=Data(tuple(encode_message(message) for message in inner)))
    assert decode_batch(encode_message(batch)) == inner


def test_sections_out_of_order_are_refused() -> None:
    with pytest.raises(AmqpViolation, match="section 0x70 comes after 0x75"):
        decode_message(encode_message(Message()) + encode(Header(durable=True)))


def test_keys_of_annotations_are_symbols() -> None:
    with pytest.raises(AmqpViolation, match="key of type str"):
        decode_message(b"\x00\x53\x72" + encode({"x": 1}))
