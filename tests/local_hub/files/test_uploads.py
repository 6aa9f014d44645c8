"""Uploads of files, on a clock that stands still; the storage is the hub's own, without its HTTP endpoint."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core.clock import ManualClock, iso
from iot_core.errors import ConnectionStringError, HubError, SettingsError
from local_hub.blobs.blob_store import Described
from local_hub.files.options import FileUploadOptions, NotificationOptions
from local_hub.files.uploads import Outcome
from local_hub.hub import Hub

HOST = "localhost:8443"
KEY = "c2VjcmV0"


@pytest.fixture
async def d1(hub: Hub) -> str:
    await hub.registry.put_device("d1", {}, None)
    return "d1"


class FixedBody:
    """A body that has come already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def readexactly(self, n: int) -> bytes:
        piece, self._data = self._data[:n], self._data[n:]
        return piece


async def put(hub: Hub, blob: str, data: bytes = b"hello") -> None:
    """What a device does with the address that it got."""
    blobs = hub.files.blobs
    received = await blobs.receive({}, len(data), FixedBody(data))
    await blobs.put("device-files", blob, received, Described(properties={}, metadata={}), lambda _blob: None)


async def begin(hub: Hub, blob: object = "a.txt", device: str = "d1") -> str:
    correlation_id: str = (await hub.files.uploads.begin(device, blob, HOST))["correlationId"]
    return correlation_id


async def end(hub: Hub, correlation_id: str, device: str = "d1", *, success: bool = True) -> None:
    await hub.files.uploads.end(device, Outcome(correlation_id=correlation_id, is_success=success))


def code(error: pytest.ExceptionInfo[HubError]) -> int:
    return error.value.code


async def test_the_answer_says_where_to_put_the_file(hub: Hub, d1: str) -> None:
    answer = await hub.files.uploads.begin("d1", "logs/a.txt", HOST)
    assert answer["hostName"] == "localhost:8443/edgeyard"
    assert (answer["containerName"], answer["blobName"]) == ("device-files", "d1/logs/a.txt")
    assert answer["sasToken"].startswith("?sv=")
    assert answer["sasToken"].endswith("&se=2026-01-01T01%3A00%3A00Z&sp=rw")


@pytest.mark.parametrize("name", [None, "", 1, "/a", "a/", "a.", "x" * 1024, "a\0b"])
async def test_the_blob_needs_a_name(hub: Hub, d1: str, name: object) -> None:
    with pytest.raises(HubError, match="ArgumentInvalid"):
        await begin(hub, name)


@pytest.mark.parametrize("host", ["", "localhost/else", "a b", "x@y"])
async def test_the_host_must_be_one(hub: Hub, d1: str, host: str) -> None:
    with pytest.raises(HubError, match="Host header"):
        await hub.files.uploads.begin("d1", "a", host)


async def test_a_device_has_ten_uploads_at_a_time(hub: Hub, d1: str, clock: ManualClock) -> None:
    await hub.registry.put_device("d2", {}, None)
    first = await begin(hub)
    for _ in range(9):
        await begin(hub)
    with pytest.raises(HubError) as caught:
        await begin(hub)
    assert (code(caught), caught.value.status) == (403006, 403)
    await begin(hub, device="d2")
    await end(hub, first, success=False)
    await begin(hub)
    clock.advance(3600)
    await begin(hub)


async def test_a_success_is_told_with_what_the_blob_is(hub: Hub, d1: str, clock: ManualClock) -> None:
    upload = await begin(hub, "a b.txt")
    await put(hub, "d1/a b.txt")
    clock.advance(5.5)
    await end(hub, upload)
    notification = await hub.files.notifications.receive()
    assert notification is not None
    assert json.loads(notification.body) == {
        "deviceId": "d1",
        "blobUri": "https://localhost:8443/edgeyard/device-files/d1/a%20b.txt",
        "blobName": "d1/a b.txt",
        "lastUpdatedTime": "2026-01-01T00:00:00+00:00",
        "blobSizeInBytes": 5,
        "enqueuedTimeUtc": iso(clock.now()),
    }


async def test_a_failure_is_not_told(hub: Hub, d1: str) -> None:
    await end(hub, await begin(hub), success=False)
    assert await hub.files.notifications.receive() is None


async def test_a_success_without_a_blob_is_refused_and_can_be_put_right(hub: Hub, d1: str) -> None:
    upload = await begin(hub)
    with pytest.raises(HubError) as caught:
        await end(hub, upload)
    assert code(caught) == 400020
    await put(hub, "d1/a.txt")
    await end(hub, upload)


async def test_an_upload_ends_once_by_its_own_device_and_in_time(hub: Hub, d1: str, clock: ManualClock) -> None:
    await hub.registry.put_device("d2", {}, None)
    upload, late = await begin(hub), await begin(hub)
    with pytest.raises(HubError) as caught:
        await end(hub, upload, device="d2")
    assert code(caught) == 400015
    await end(hub, upload, success=False)
    with pytest.raises(HubError) as caught:
        await end(hub, upload, success=False)
    assert code(caught) == 400015
    clock.advance(3600)
    with pytest.raises(HubError) as caught:
        await end(hub, late)
    assert code(caught) == 400016


async def test_uploads_go_with_their_device(hub: Hub, d1: str) -> None:
    upload = await begin(hub)
    await hub.registry.delete_device("d1", "*")
    await hub.registry.put_device("d1", {}, None)
    with pytest.raises(HubError) as caught:
        await end(hub, upload)
    assert code(caught) == 400015


async def test_uploads_and_blobs_outlive_a_restart(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    hub = await open_hub()
    await hub.registry.put_device("d1", {}, None)
    upload = await begin(hub)
    await put(hub, "d1/a.txt")
    await hub.stop()
    await hub.store.close()
    again = await open_hub()
    await end(again, upload)
    assert await again.files.notifications.receive() is not None
    await again.stop()
    await again.store.close()


async def test_without_storage_uploads_are_refused(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    hub = await open_hub(file_upload=FileUploadOptions(storage="off"))
    await hub.registry.put_device("d1", {}, None)
    for attempt in (begin(hub), end(hub, "x")):
        with pytest.raises(HubError) as caught:
            await attempt
        assert (code(caught), caught.value.name) == (400014, "DefaultStorageEndpointNotConfigured")
    assert hub.files.blob_endpoint is None
    await hub.stop()
    await hub.store.close()


async def test_with_an_account_elsewhere_the_hub_only_signs(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    options = FileUploadOptions(storage=f"AccountName=acct;AccountKey={KEY}", container="uploads")
    hub = await open_hub(file_upload=options)
    await hub.registry.put_device("d1", {}, None)
    answer = await hub.files.uploads.begin("d1", "a.txt", HOST)
    assert (answer["hostName"], answer["containerName"]) == ("acct.blob.core.windows.net", "uploads")
    assert (hub.files.blob_endpoint, hub.files.connection_string(HOST)) == (None, None)
    assert KEY not in repr(options)
    await hub.stop()
    await hub.store.close()


async def test_a_storage_that_is_none_is_refused_at_once(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    with pytest.raises(ConnectionStringError):
        await open_hub(file_upload=FileUploadOptions(storage="somewhere"))


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "InvalidFileUploadCorrelationId"),
        ({"correlationId": 1, "isSuccess": True}, "InvalidFileUploadCorrelationId"),
        ({"correlationId": "other", "isSuccess": True}, "InvalidFileUploadCorrelationId"),
        ({"correlationId": "c"}, "ArgumentInvalid"),
        ({"correlationId": "c", "isSuccess": "yes"}, "ArgumentInvalid"),
        ({"correlationId": "c", "isSuccess": True, "statusCode": "200"}, "ArgumentInvalid"),
        ({"correlationId": "c", "isSuccess": True, "statusDescription": 1}, "ArgumentInvalid"),
    ],
)
def test_what_a_device_says_must_have_its_shape(body: dict[str, Any], name: str) -> None:
    with pytest.raises(HubError, match=name):
        Outcome.read(body, "c" if body.get("correlationId") == "other" else None)


def test_the_correlation_id_may_be_in_the_path() -> None:
    assert Outcome.read({"isSuccess": False}, "c") == Outcome(correlation_id="c", is_success=False)


@pytest.mark.parametrize(
    "options",
    [
        lambda: FileUploadOptions(sas_ttl_s=59),
        lambda: NotificationOptions(ttl_s=48 * 3600 + 1),
        lambda: NotificationOptions(lock_s=4),
        lambda: NotificationOptions(max_delivery_count=101),
    ],
)
def test_options_have_the_ranges_of_the_service(options: Callable[[], object]) -> None:
    with pytest.raises(SettingsError):
        options()
