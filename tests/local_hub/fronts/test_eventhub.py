"""The Event Hubs-compatible endpoint, by azure-eventhub and by our own engine for what that cannot ask."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from azure.eventhub.aio import CheckpointStore, EventHubConsumerClient

from iot_core import sas
from iot_core.amqp import ACCEPTED
from iot_core.amqp.types import Described, Symbol
from local_hub.environment import hub_environment
from tests.local_hub.fronts.amqp_bench import connected, device, is_accepted, service, text
from transport.amqp_client import AmqpClient, AmqpError, AmqpReceiver

SELECTOR = Symbol("apache.org:selector-filter:string")


def consumer(hub: Any, group: str = "$Default", **options: Any) -> Any:
    text_of_connection = hub_environment(hub.home)["EVENTHUB_CONNECTION_STRING"]
    return EventHubConsumerClient.from_connection_string(
        text_of_connection, group, connection_verify=str(hub.ca_file), retry_total=0, **options
    )


async def collect(client: Any, wanted: Callable[[Any], bool], count: int, **options: Any) -> list[Any]:
    """The first events that are wanted, checkpointing each."""
    events: list[Any] = []
    enough = asyncio.Event()

    async def on_event(context: Any, event: Any) -> None:
        if event is not None and wanted(event) and not enough.is_set():
            events.append(event)
            await context.update_checkpoint(event)
            if len(events) >= count:
                enough.set()

    async with client:
        reading = asyncio.create_task(client.receive(on_event, **options))
        await asyncio.wait_for(enough.wait(), 20)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    return events


def of(found: Any) -> Callable[[Any], bool]:
    name = found.identity.device_id.encode()
    return lambda event: bool(event.system_properties[b"iothub-connection-device-id"] == name)


Send = Callable[..., Awaitable[None]]


@pytest.fixture
async def send(hub: Any) -> AsyncIterator[Send]:
    """Sends telemetry of a device."""
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[str, AmqpClient] = {}

        async def send_all(found: Any, *bodies: str, **fields: Any) -> None:
            name = found.identity.path
            if name not in clients:
                clients[name] = await stack.enter_async_context(await device(hub, found))
            sender = await clients[name].sender(f"/devices/{found.identity.device_id}/messages/events")
            for body in bodies:
                assert is_accepted(await sender.send(text(body, **fields)))
            await sender.detach()

        yield send_all


async def test_properties_of_the_event_hub_and_its_partitions(hub: Any, rest: Any, send: Send) -> None:
    await send(await rest.device(), "x")
    async with consumer(hub) as client:
        properties = await client.get_eventhub_properties()
        assert (properties["eventhub_name"], properties["partition_ids"]) == ("local", ["0", "1", "2", "3"])
        assert abs(properties["created_at"].timestamp() - time.time()) < 3600
        partitions = [await client.get_partition_properties(number) for number in properties["partition_ids"]]
    assert any(not partition["is_empty"] for partition in partitions)
    for partition in partitions:
        assert partition["last_enqueued_offset"] == str(partition["last_enqueued_sequence_number"])


async def test_telemetry_is_read_with_all_that_the_hub_knows(hub: Any, rest: Any, send: Send) -> None:
    found = await rest.device()
    await send(found, '{"t":1}', application_properties={"room": "1"})
    [event] = await collect(consumer(hub), of(found), 1, starting_position="-1")
    assert event.body_as_str() == '{"t":1}'
    assert event.properties == {b"room": b"1"}
    assert event.partition_key == found.identity.device_id.encode()
    system = event.system_properties
    assert system[b"iothub-message-source"] == b"Telemetry"
    assert b'"scope":"device"' in system[b"iothub-connection-auth-method"]
    assert system[b"iothub-enqueuedtime"] == system[b"x-opt-enqueued-time"]
    assert event.offset == str(event.sequence_number)


async def test_events_arrive_as_they_come(hub: Any, rest: Any, send: Send) -> None:
    found = await rest.device()
    reading = asyncio.create_task(collect(consumer(hub), of(found), 2, starting_position="-1"))
    await send(found, "first", "second")
    assert [event.body_as_str() for event in await reading] == ["first", "second"]


async def test_a_reader_resumes_behind_its_checkpoint(hub: Any, rest: Any, send: Send) -> None:
    found, store = await rest.device(), MemoryCheckpoints()
    await send(found, "1", "2", "3")
    first = await collect(consumer(hub, checkpoint_store=store), of(found), 2, starting_position="-1")
    second = await collect(consumer(hub, checkpoint_store=store), of(found), 1, starting_position="-1")
    assert [event.body_as_str() for event in (*first, *second)] == ["1", "2", "3"]


async def test_the_last_enqueued_event_is_told_with_each_event(hub: Any, rest: Any, send: Send) -> None:
    found = await rest.device()
    await send(found, "1", "2")
    partition = await partition_of(hub, found)
    told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def on_event(context: Any, event: Any) -> None:
        if of(found)(event) and not told.done():
            told.set_result(context.last_enqueued_event_properties)

    async with consumer(hub) as client:
        reading = asyncio.create_task(
            client.receive(
                on_event, partition_id=partition, starting_position="-1", track_last_enqueued_event_properties=True
            )
        )
        properties = await asyncio.wait_for(told, 20)
        reading.cancel()
    assert int(properties["offset"]) == properties["sequence_number"] >= 1


async def receive_until_the_end(reader: AmqpReceiver) -> None:
    """Events that were there already come before the error."""
    while True:
        await reader.receive()


async def test_a_higher_owner_level_takes_a_partition_over(hub: Any, rest: Any) -> None:
    group = "$Default"
    async with await service(hub) as client:
        first = await partition_reader(client, "3", group, epoch=1)
        await partition_reader(client, "3", group, epoch=2)
        with pytest.raises(AmqpError) as caught:
            await receive_until_the_end(first)
        assert caught.value.condition == "amqp:link:stolen"
        for epoch in (1, None):
            with pytest.raises(AmqpError) as caught:
                await partition_reader(client, "3", group, epoch=epoch)
            assert caught.value.condition == "amqp:link:stolen"


async def test_the_sixth_reader_of_a_partition_is_refused(hub: Any) -> None:
    async with await service(hub) as client:
        for _ in range(5):
            await partition_reader(client, "2", "$Default")
        with pytest.raises(AmqpError, match="has 5 readers") as caught:
            await partition_reader(client, "2", "$Default")
    assert caught.value.condition == "amqp:resource-limit-exceeded"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("amqp.annotation.x-opt-offset > '{offset}'", ["b", "c"]),
        ("amqp.annotation.x-opt-offset >= '{offset}'", ["a", "b", "c"]),
        ("amqp.annotation.x-opt-sequence-number > '{offset}'", ["b", "c"]),
        ("amqp.annotation.x-opt-sequence-number >= {offset}", ["a", "b", "c"]),
        ("amqp.annotation.x-opt-enqueued-time > '{before}'", ["a", "b", "c"]),
    ],
)
async def test_a_selector_says_where_to_begin(
    hub: Any, rest: Any, send: Send, selector: str, expected: list[str]
) -> None:
    found = await rest.device()
    before = int(time.time() * 1000) - 1
    await send(found, "a", "b", "c")
    partition = await partition_of(hub, found)
    [first] = await collect(consumer(hub), of(found), 1, starting_position="-1", partition_id=partition)
    text_of_filter = selector.format(offset=first.offset, before=before)
    async with await service(hub) as client:
        reader = await partition_reader(client, partition, selector=text_of_filter)
        bodies = [(await reader.receive()).message().data.decode() for _ in expected]
    assert bodies == expected


async def test_credit_bounds_what_is_sent(hub: Any, rest: Any, send: Send) -> None:
    found = await rest.device()
    await send(found, *"abcdef")
    partition = await partition_of(hub, found)
    async with await service(hub) as client:
        reader = await partition_reader(client, partition, credit=0)
        reader.link.send_flow(2)
        client.flush()
        for _ in range(2):
            reader.settle(await reader.receive(), ACCEPTED)
        reader.link.send_flow(3, drain=True)
        client.flush()
        assert (await reader.receive()).tag == (2).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("address", "condition"),
    [
        ("local/ConsumerGroups/$Default/Partitions/9", "amqp:not-found"),
        ("local/ConsumerGroups/nobody/Partitions/0", "amqp:not-found"),
        ("other/ConsumerGroups/$Default/Partitions/0", "amqp:not-found"),
    ],
)
async def test_what_is_not_there_is_not_found(hub: Any, address: str, condition: str) -> None:
    async with await service(hub) as client:
        with pytest.raises(AmqpError) as caught:
            await client.receiver(address)
    assert caught.value.condition == condition


async def test_a_filter_that_is_none_is_refused(hub: Any) -> None:
    async with await service(hub) as client:
        with pytest.raises(AmqpError) as caught:
            await partition_reader(client, "0", selector="1 = 1")
    assert caught.value.condition == "com.microsoft:argument-error"


async def test_nothing_can_be_sent_to_it(hub: Any) -> None:
    async with await service(hub) as client:
        with pytest.raises(AmqpError, match="'Send' claims are required"):
            await client.sender("local")


async def test_a_device_may_not_read(hub: Any, rest: Any) -> None:
    async with await device(hub, await rest.device()) as client:
        with pytest.raises(AmqpError) as caught:
            await client.receiver("local/ConsumerGroups/$Default/Partitions/0")
    assert caught.value.condition == "amqp:unauthorized-access"


@pytest.mark.parametrize("rest_of_path", ["$management", "ConsumerGroups/$Default/Partitions/0", ""])
async def test_the_hubs_own_name_leads_there(hub: Any, rest_of_path: str) -> None:
    async with await service(hub) as client:
        with pytest.raises(AmqpError) as caught:
            await client.receiver(f"amqps://{hub.host}/messages/events/{rest_of_path}")
    error = caught.value
    assert error.condition == "amqp:link:redirect"
    assert (error.info["hostname"], error.info["network-host"], error.info["port"]) == (hub.host, hub.host, 5671)
    assert error.info["address"] == f"amqps://{hub.host}:5671/local/{rest_of_path}".rstrip("/")


async def test_a_key_may_be_used_as_text_or_as_bytes(hub: Any) -> None:
    owner = hub.owner
    as_text = sas.sign(f"sb://{hub.host}/local", owner.shared_access_key, int(time.time()) + 60, "iothubowner")
    async with await connected(hub) as client:
        await client.put_token("as bytes", as_text)
        await client.receiver("local/ConsumerGroups/$Default/Partitions/0")


async def test_the_emulators_clients_need_no_tls(own_hub_with: Any) -> None:
    hub = own_hub_with("--eventhub-plain-port", "5672")
    text_of_connection = hub_environment(hub.home)["EVENTHUB_CONNECTION_STRING"]
    client = EventHubConsumerClient.from_connection_string(
        f"{text_of_connection};UseDevelopmentEmulator=true", "$Default", retry_total=0
    )
    async with client:
        assert await client.get_partition_ids() == ["0", "1", "2", "3"]


async def partition_of(hub: Any, found: Any) -> str:
    from local_hub.eventhub.partitions import partition_of as number_of

    return str(number_of(found.identity.device_id, 4))


async def partition_reader(
    client: AmqpClient,
    partition: str,
    group: str = "$Default",
    *,
    epoch: int | None = None,
    selector: str | None = None,
    credit: int = 100,
) -> Any:
    return await client.receiver(
        f"local/ConsumerGroups/{group}/Partitions/{partition}",
        filter={SELECTOR: Described(SELECTOR, selector)} if selector else None,
        properties={Symbol("com.microsoft:epoch"): epoch} if epoch is not None else None,
        credit=credit,
    )


class MemoryCheckpoints(CheckpointStore):
    """A checkpoint store as azure-eventhub wants it, in memory."""

    def __init__(self) -> None:
        self._ownership: dict[str, dict[str, Any]] = {}
        self._checkpoints: dict[str, dict[str, Any]] = {}

    async def list_ownership(self, *_names: str, **_options: Any) -> Any:
        return list(self._ownership.values())

    async def claim_ownership(self, ownership_list: Any, **_options: Any) -> Any:
        for item in ownership_list:
            fresh = {"etag": str(uuid.uuid4()), "last_modified_time": time.time()}
            self._ownership[item["partition_id"]] = {**item, **fresh}
        return [self._ownership[item["partition_id"]] for item in ownership_list]

    async def update_checkpoint(self, checkpoint: Any, **_options: Any) -> None:
        self._checkpoints[checkpoint["partition_id"]] = checkpoint

    async def list_checkpoints(self, *_names: str, **_options: Any) -> Any:
        return list(self._checkpoints.values())
