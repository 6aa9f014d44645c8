"""Custom endpoints: queues on disk, at least once, back-off by the hub's clock; files and webhooks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iot_core.clock import ManualClock
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.eventhub import HubMessage
from local_hub.eventhub.messages import encode_record
from local_hub.hub import Hub
from local_hub.routing.delivery import Delivery, queue_stream
from local_hub.routing.sinks import DeliveryError, FileSink, WebhookSink
from transport.loopback import free_loopback_address
from transport.store import Store

JSON = {"contentType": "application/json", "contentEncoding": "utf-8"}
KEEP_S = 3600.0
Wait = Callable[[Callable[[], object]], Awaitable[None]]


class FakeSink:
    """Takes documents, or refuses as long as ``down`` is set."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.down = False
        self.tries = 0

    async def deliver(self, documents: Sequence[JsonObject]) -> None:
        self.tries += 1
        if self.down:
            raise DeliveryError("it is down")
        self.bodies += [document["Body"] for document in documents]

    async def close(self) -> None:
        pass


class Endpoint:
    """A queue with a carrier, which may be started anew."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.sink = FakeSink()
        self.delivery = self._carrier()

    def _carrier(self) -> Delivery:
        delivery = Delivery(self.store, self.clock, "log", self.sink, KEEP_S)
        delivery.start()
        return delivery

    async def restart(self) -> None:
        await self.delivery.stop()
        self.delivery = self._carrier()

    async def queue(self, *numbers: int) -> None:
        for number in numbers:
            message = HubMessage(identity=Identity("d"), enqueued=self.clock.now(), body=b"%d" % number, system=JSON)
            await self.store.append(queue_stream("log"), [encode_record(message)])
        self.delivery.wake()


@pytest.fixture
async def endpoint(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Endpoint]:
    store = Store.open(tmp_path / "hub.db", schema=Hub.schema())
    made = Endpoint(store, clock)
    yield made
    await made.delivery.stop()
    await store.close()


class TestDelivery:
    async def test_messages_arrive_in_order(self, endpoint: Endpoint, becomes_true: Wait) -> None:
        await endpoint.queue(*range(250))
        await becomes_true(lambda: len(endpoint.sink.bodies) == 250)
        assert endpoint.sink.bodies == list(range(250))

    async def test_what_waits_at_the_start_is_delivered_and_what_was_delivered_is_not(
        self, endpoint: Endpoint, becomes_true: Wait
    ) -> None:
        await endpoint.queue(1, 2)
        await becomes_true(lambda: endpoint.delivery.waiting() == 0)
        await endpoint.delivery.stop()
        await endpoint.queue(3)
        assert endpoint.delivery.waiting() == 1
        await endpoint.restart()
        await becomes_true(lambda: endpoint.delivery.waiting() == 0)
        assert endpoint.sink.bodies == [1, 2, 3]

    async def test_a_failure_is_tried_again_later_and_later(
        self, endpoint: Endpoint, clock: ManualClock, becomes_true: Wait
    ) -> None:
        endpoint.sink.down = True
        await endpoint.queue(1)
        for tries, pause in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
            await becomes_true(lambda tries=tries: endpoint.delivery.state.failures == tries)
            clock.advance(pause)
        assert endpoint.delivery.state.last_error == "it is down"
        endpoint.sink.down = False
        await becomes_true(lambda: endpoint.sink.bodies == [1])
        await becomes_true(lambda: endpoint.delivery.waiting() == 0)
        assert endpoint.delivery.state.failures == 0

    async def test_it_waits_for_its_time(self, endpoint: Endpoint, clock: ManualClock, becomes_true: Wait) -> None:
        endpoint.sink.down = True
        await endpoint.queue(1)
        await becomes_true(lambda: endpoint.sink.tries == 1)
        clock.advance(0.9)
        await endpoint.queue(2)
        assert endpoint.sink.tries == 1

    async def test_messages_that_were_not_taken_come_again_after_a_restart(
        self, endpoint: Endpoint, becomes_true: Wait
    ) -> None:
        endpoint.sink.down = True
        await endpoint.queue(1, 2)
        await becomes_true(lambda: endpoint.sink.tries)
        endpoint.sink.down = False
        await endpoint.restart()
        await becomes_true(lambda: endpoint.sink.bodies == [1, 2])

    async def test_what_waits_longer_than_it_may_is_given_up(
        self, endpoint: Endpoint, clock: ManualClock, becomes_true: Wait
    ) -> None:
        endpoint.sink.down = True
        await endpoint.queue(1)
        await becomes_true(lambda: endpoint.sink.tries == 1)
        clock.advance(KEEP_S + 1)
        await becomes_true(lambda: endpoint.delivery.state.given_up == 1)
        endpoint.sink.down = False
        await endpoint.queue(2)
        await becomes_true(lambda: endpoint.sink.bodies == [2])

    async def test_what_was_delivered_leaves_the_disk(self, endpoint: Endpoint, becomes_true: Wait) -> None:
        await endpoint.queue(*range(20))
        await becomes_true(lambda: endpoint.delivery.waiting() == 0)
        assert len(list(endpoint.store.records(queue_stream("log")))) == 1

    async def test_a_discarded_queue_is_empty(self, endpoint: Endpoint, becomes_true: Wait) -> None:
        endpoint.sink.down = True
        await endpoint.queue(1)
        await becomes_true(lambda: endpoint.sink.tries)
        await endpoint.delivery.stop()
        await endpoint.delivery.discard()
        assert endpoint.delivery.waiting() == 0


class TestFileSink:
    async def test_one_line_per_document_at_the_end_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "sub" / "out.ndjson"
        sink = FileSink(path)
        await sink.deliver([{"n": 1}, {"n": 2}])
        await sink.deliver([{"n": 3}])
        assert path.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":3}\n'
        assert path.stat().st_mode & 0o777 == 0o600

    async def test_a_line_cut_short_by_a_crash_does_not_spoil_the_next(self, tmp_path: Path) -> None:
        path = tmp_path / "out.ndjson"
        path.write_bytes(b'{"n":1}\n{"n')
        await FileSink(path).deliver([{"n": 2}])
        assert path.read_bytes().splitlines() == [b'{"n":1}', b'{"n', b'{"n":2}']

    async def test_a_file_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DeliveryError, match=r"cannot be written: Is a directory"):
            await FileSink(tmp_path).deliver([{"n": 1}])


class TestWebhookSink:
    async def test_documents_are_posted_and_other_answers_than_2xx_are_failures(self) -> None:
        got: list[Any] = []
        status = 204

        async def answer(request: web.BaseRequest) -> web.Response:
            got.append((request.method, request.path, request.content_type, json.loads(await request.read())))
            return web.Response(status=status)

        host = free_loopback_address([0])
        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        site = web.TCPSite(runner, host, 0)
        await site.start()
        sink = WebhookSink(f"http://{host}:{runner.addresses[0][1]}/in")
        await sink.deliver([{"n": 1}, {"n": 2}])
        assert got == [("POST", "/in", "application/json", [{"n": 1}, {"n": 2}])]
        status = 503
        with pytest.raises(DeliveryError, match="HTTP 503"):
            await sink.deliver([{"n": 3}])
        await runner.cleanup()
        with pytest.raises(DeliveryError, match="does not answer"):
            await sink.deliver([{"n": 4}])
        await sink.close()
