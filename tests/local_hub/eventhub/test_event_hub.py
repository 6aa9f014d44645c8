"""The built-in endpoint: partitions, places in them, readers that wait, retention by the hub's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.clock import ManualClock
from iot_core.errors import InputError
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth.authenticator import Permission, Principal
from local_hub.eventhub import EARLIEST, LATEST, AfterOffset, AfterSequence, AfterTime, EventReader, Position
from local_hub.eventhub.event_hub import PartitionNotFoundError
from local_hub.eventhub.messages import HubMessage, decode_record, encode_record
from local_hub.eventhub.partitions import partition_of
from local_hub.eventhub.positions import PositionError, parse_position
from local_hub.eventhub.retention import RetentionOptions
from local_hub.hub import Hub

D1 = Identity("d1")
WHO = Principal(name="d1", rights=Permission.DEVICE_CONNECT, expires_at=0.0, identity=D1, generation_id="7")
DAY_S = 86_400.0
OpenHub = Callable[..., Awaitable[Hub]]


async def send(hub: Hub, *bodies: str, identity: Identity = D1) -> None:
    for body in bodies:
        await hub.messaging.telemetry(identity, Message(body.encode()), WHO)


def partition_id(device_id: str = "d1", count: int = 4) -> str:
    return str(partition_of(device_id, count))


def bodies(reader: EventReader) -> list[str]:
    return [event.message.body.decode() for event in reader.read_now(1000)]


def read_from(hub: Hub, position: Position) -> list[str]:
    return bodies(hub.event_hub.open(partition_id(), position))


async def close(hub: Hub) -> None:
    await hub.stop()
    await hub.store.close()


class TestPartitions:
    async def test_a_new_hub_has_four_and_keeps_its_number(self, open_hub: OpenHub) -> None:
        hub = await open_hub()
        assert hub.event_hub.partition_ids == ("0", "1", "2", "3")
        await close(hub)
        hub = await open_hub(partitions=4)
        await close(hub)
        with pytest.raises(InputError, match="made with 4 partitions"):
            await open_hub(partitions=2)

    async def test_a_hub_is_made_with_as_many_as_asked(self, open_hub: OpenHub) -> None:
        hub = await open_hub(partitions=2)
        assert hub.event_hub.partition_ids == ("0", "1")
        await close(hub)

    def test_a_devices_partition_never_changes(self) -> None:
        assert [partition_of(f"device-{number}", 4) for number in range(8)] == [3, 1, 3, 1, 2, 0, 2, 0]

    def test_many_devices_spread_over_all(self) -> None:
        counts = [0] * 4
        for number in range(4000):
            counts[partition_of(f"sensor-{number:04}", 4)] += 1
        assert min(counts) > 800

    async def test_a_module_shares_its_devices_partition_and_each_counts_from_0(self, hub: Hub) -> None:
        await send(hub, "a", "b")
        await send(hub, "c", identity=Identity("d1", "m"))
        events = hub.event_hub.open(partition_id(), EARLIEST).read_now(10)
        assert [(event.sequence_number, event.offset) for event in events] == [(0, "0"), (1, "1"), (2, "2")]
        assert events[2].message.identity == Identity("d1", "m")

    async def test_an_unknown_partition_is_named(self, hub: Hub) -> None:
        with pytest.raises(PartitionNotFoundError, match="no partition '4': there are 0, 1, 2, 3"):
            hub.event_hub.info("4")


class TestInfo:
    async def test_before_the_first_event(self, hub: Hub) -> None:
        info = hub.event_hub.info("0")
        assert (info.beginning_sequence_number, info.last_sequence_number, info.last_offset) == (0, -1, "-1")
        assert (info.last_enqueued, info.is_empty) == (None, True)

    async def test_after_some_events(self, hub: Hub, clock: ManualClock) -> None:
        await send(hub, "a")
        clock.advance(5)
        await send(hub, "b")
        info = hub.event_hub.info(partition_id())
        assert (info.beginning_sequence_number, info.last_sequence_number, info.last_offset) == (0, 1, "1")
        assert (info.last_enqueued, info.is_empty) == (clock.now(), False)

    async def test_it_survives_a_restart(self, open_hub: OpenHub) -> None:
        hub = await open_hub()
        await send(hub, "a", "b")
        before = hub.event_hub.info(partition_id())
        await close(hub)
        hub = await open_hub()
        assert hub.event_hub.info(partition_id()) == before
        await send(hub, "c")
        assert read_from(hub, AfterSequence(number=1)) == ["c"]
        await close(hub)


class TestPositions:
    @pytest.fixture
    async def filled(self, hub: Hub, clock: ManualClock) -> Hub:
        """Events e0 … e4, one a second."""
        for number in range(5):
            await send(hub, f"e{number}")
            clock.advance(1)
        return hub

    @pytest.mark.parametrize(
        ("position", "first"),
        [
            (EARLIEST, 0),
            (LATEST, 5),
            (AfterSequence(number=2), 3),
            (AfterSequence(number=2, inclusive=True), 2),
            (AfterSequence(number=-1), 0),
            (AfterOffset(offset="3"), 4),
            (AfterOffset(offset="3", inclusive=True), 3),
            (AfterOffset(offset="99"), 5),
        ],
    )
    async def test_a_reader_begins_where_it_is_told(self, filled: Hub, position: Position, first: int) -> None:
        assert read_from(filled, position) == [f"e{number}" for number in range(first, 5)]

    @pytest.mark.parametrize(
        ("seconds", "inclusive", "first"),
        [
            (-5, False, 0),
            (0, True, 0),
            (0, False, 1),
            (1.5, True, 2),
            (2, True, 2),
            (2, False, 3),
            (4, False, 5),
            (60, True, 5),
        ],
    )
    async def test_a_time_is_found(
        self, filled: Hub, clock: ManualClock, seconds: float, inclusive: bool, first: int
    ) -> None:
        position = AfterTime(time=clock.now() - 5 + seconds, inclusive=inclusive)
        assert read_from(filled, position) == [f"e{number}" for number in range(first, 5)]

    async def test_a_time_inside_one_segment_is_found(self, hub: Hub, clock: ManualClock) -> None:
        appended = []
        for number in range(6):
            message = HubMessage(identity=D1, enqueued=clock.now() + number, body=b"e%d" % number)
            appended.append(hub.event_hub.appended(message))
        await hub.store.write(lambda _connection: None, appends=lambda _connection, _result: appended)
        assert read_from(hub, AfterTime(time=clock.now() + 3, inclusive=True)) == ["e3", "e4", "e5"]

    def test_texts_for_people(self) -> None:
        assert parse_position("earliest") == EARLIEST
        assert parse_position("latest") == LATEST
        assert parse_position("offset:7") == AfterOffset(offset="7", inclusive=True)
        assert parse_position("sequence:7") == AfterSequence(number=7, inclusive=True)
        assert parse_position("1970-01-01T00:00:10Z") == AfterTime(time=10.0, inclusive=True)

    @pytest.mark.parametrize("text", ["", "soon", "offset:", "offset:x", "sequence:1.5", "12"])
    def test_other_texts_are_refused(self, text: str) -> None:
        with pytest.raises(PositionError):
            parse_position(text)


class TestReading:
    async def test_a_reader_gets_every_event_once_in_order_whatever_it_asks_for_at_a_time(self, hub: Hub) -> None:
        reader = hub.event_hub.open(partition_id(), EARLIEST)
        sent = [f"e{number}" for number in range(30)]
        await asyncio.gather(*(send(hub, body) for body in sent))
        got: list[str] = []
        while len(got) < 30:
            events = await reader.read(7)
            assert 1 <= len(events) <= 7
            got += [event.message.body.decode() for event in events]
        assert got == sent

    async def test_a_reader_at_the_end_waits_for_the_next_event(self, hub: Hub) -> None:
        reader = hub.event_hub.open(partition_id(), LATEST)
        reading = asyncio.create_task(reader.read(10))
        await send(hub, "elsewhere", identity=Identity("device-0"))
        assert partition_id("device-0") != partition_id()
        assert not reading.done()
        await send(hub, "now")
        assert [event.message.body for event in await reading] == [b"now"]

    async def test_a_cancelled_read_loses_nothing(self, hub: Hub) -> None:
        reader = hub.event_hub.open(partition_id(), EARLIEST)
        reading = asyncio.create_task(reader.read(10))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await send(hub, "kept")
        assert [event.message.body for event in await reader.read(10)] == [b"kept"]

    async def test_latest_is_the_latest_when_the_reader_was_opened(self, hub: Hub) -> None:
        await send(hub, "before")
        reader = hub.event_hub.open(partition_id(), LATEST)
        await send(hub, "after")
        assert bodies(reader) == ["after"]


class TestRetention:
    @pytest.fixture
    async def short(self, open_hub: OpenHub) -> Any:
        hub = await open_hub(retention=RetentionOptions(days=1, partition_bytes=20_000))
        yield hub
        await close(hub)

    def stream(self) -> str:
        return f"events/{partition_id()}"

    async def test_what_has_expired_is_not_given(self, hub: Hub, clock: ManualClock) -> None:
        await send(hub, "old", "older")
        clock.advance(DAY_S - 1)
        await send(hub, "new")
        assert read_from(hub, EARLIEST) == ["old", "older", "new"]
        clock.advance(2)
        assert read_from(hub, EARLIEST) == ["new"]
        assert read_from(hub, AfterSequence(number=0)) == ["new"]
        assert hub.event_hub.info(partition_id()).beginning_sequence_number == 2

    async def test_a_partition_whose_events_have_all_expired_is_empty_and_counts_on(
        self, hub: Hub, clock: ManualClock
    ) -> None:
        await send(hub, "a", "b")
        clock.advance(2 * DAY_S)
        info = hub.event_hub.info(partition_id())
        assert (info.is_empty, info.beginning_sequence_number, info.last_sequence_number) == (True, 2, 1)
        assert read_from(hub, EARLIEST) == []
        await send(hub, "c")
        assert hub.event_hub.info(partition_id()).last_sequence_number == 2

    async def test_what_has_expired_leaves_the_disk(self, short: Hub, clock: ManualClock) -> None:
        await send(short, "a", "b")
        clock.advance(DAY_S + 1)
        await send(short, "c")
        await short.event_hub.retention.trim(self.stream())
        assert len(list(short.store.records(self.stream()))) == 1

    async def test_the_background_task_sees_that_the_clock_was_moved(
        self, short: Hub, clock: ManualClock, becomes_true: Any
    ) -> None:
        await send(short, "a")
        await send(short, "b")
        clock.advance(DAY_S + 61)

        await becomes_true(lambda: len(list(short.store.records(self.stream()))) == 1)

    async def test_a_partition_keeps_no_more_bytes_than_it_may(self, short: Hub) -> None:
        for number in range(30):
            await send(short, f"{number:02}" + "x" * 1000)
        await short.event_hub.retention.trim(self.stream())
        kept = read_from(short, EARLIEST)
        assert 15 <= len(kept) <= 19
        assert kept[-1].startswith("29")

    def test_one_to_seven_days_are_possible(self) -> None:
        assert RetentionOptions(days=7).seconds == 7 * DAY_S
        for days in (0, 8):
            with pytest.raises(InputError, match="1 to 7"):
                RetentionOptions(days=days)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    body=st.binary(max_size=40),
    properties=st.dictionaries(texts, st.none() | texts, max_size=3),
    system=st.dictionaries(st.sampled_from(["messageId", "contentType", "connectionModuleId"]), texts, max_size=3),
    module=st.none() | st.just("m"),
    model=texts,
    source=st.sampled_from(["Telemetry", "twinChangeEvents"]),
    enqueued=st.integers(0, 2**41).map(lambda ms: ms / 1000),
)
def test_a_record_gives_the_message_back(
    body: bytes,
    properties: dict[str, str | None],
    system: dict[str, str],
    module: str | None,
    model: str,
    source: str,
    enqueued: float,
) -> None:
    message = HubMessage(
        identity=Identity("d1", module),
        enqueued=enqueued,
        body=body,
        properties=properties,
        system=system,
        generation_id="7",
        auth_method="{}",
        model_id=model,
        source=source,
    )
    assert decode_record(encode_record(message)) == message
