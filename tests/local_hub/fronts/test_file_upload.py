"""File upload as devices do it: azure-iot-device asks and tells, azure-storage-blob uploads."""

from __future__ import annotations

import asyncio
import io
import random
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.iot.device import X509, IoTHubDeviceClient
from azure.iot.device.exceptions import ClientError
from azure.storage.blob import BlobClient, BlobServiceClient

from local_hub.environment import hub_environment
from tests.local_hub.device_certificates import make_certificate
from tests.local_hub.http_sessions import http_session

pytestmark = pytest.mark.acceptance

MIB = 1024 * 1024


@pytest.fixture
def blob_client(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BlobClient]:
    """The client for the address that the SDK's samples make of the hub's answer."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))

    def open_client(info: dict[str, str], **options: Any) -> BlobClient:
        names = ("hostName", "containerName", "blobName", "sasToken")
        return BlobClient.from_blob_url("https://{}/{}/{}{}".format(*(info[name] for name in names)), **options)

    return open_client


@pytest.fixture
def storage(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a service uses to read uploads: the account, by its connection string."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.ca_file))
    text = hub_environment(hub.home)["IOTHUB_STORAGE_CONNECTION_STRING"]
    return BlobServiceClient.from_connection_string(text).get_container_client("device-files")


@pytest.fixture
async def sdk(hub: Any) -> AsyncIterator[Callable[[Any], Any]]:
    """Device clients that speak HTTPS, to the port the hub has it on."""
    clients = list[Any]()

    def open_client(device: Any) -> Any:
        text = device.connection_string.replace(device.host, hub.owner.host_name)
        ca = hub.ca_file.read_text()
        clients.append(IoTHubDeviceClient.create_from_connection_string(text, server_verification_cert=ca))
        return clients[-1]

    yield open_client
    for client in clients:
        await asyncio.to_thread(client.shutdown)


@pytest.fixture
async def told(admin_door: Any) -> AsyncIterator[Callable[[str], Awaitable[list[dict[str, Any]]]]]:
    """The notifications of a device that wait."""
    url, headers = admin_door
    async with http_session() as session:

        async def ask(device_id: str) -> list[dict[str, Any]]:
            async with session.get(url("/files/notifications?most=10000"), headers=headers) as reply:
                items = [item["notification"] for item in await reply.json()]
                return [item for item in items if item["deviceId"] == device_id]

        yield ask


async def ask(client: Any, name: str) -> dict[str, str]:
    info: dict[str, str] = await asyncio.to_thread(client.get_storage_info_for_blob, name)
    return info


async def test_a_file_is_uploaded_and_services_are_told(
    rest: Any, sdk: Any, blob_client: Any, storage: Any, told: Any
) -> None:
    device = await rest.device()
    client, device_id = sdk(device), device.identity.device_id
    info = await ask(client, "logs/to day.txt")
    with blob_client(info) as blob:
        await asyncio.to_thread(blob.upload_blob, b"21.5", overwrite=True)
    await asyncio.to_thread(client.notify_blob_upload_status, info["correlationId"], True, 200, "OK")
    name = f"{device_id}/logs/to day.txt"
    [notification] = await told(device_id)
    assert (notification["blobName"], notification["blobSizeInBytes"]) == (name, 4)
    assert (await asyncio.to_thread(storage.download_blob, name)).readall() == b"21.5"


async def test_a_device_with_a_certificate_uploads_too(
    hub: Any, rest: Any, blob_client: Any, told: Any, tmp_path: Path
) -> None:
    certificate = make_certificate("anything")
    device_id = f"d-{uuid.uuid4().hex[:8]}"
    authentication = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": certificate.sha256}}
    body = {"deviceId": device_id, "authentication": authentication}
    assert (await rest.call("PUT", f"/devices/{device_id}", body)).status == 200
    client = IoTHubDeviceClient.create_from_x509_certificate(
        X509(*certificate.save(tmp_path)),
        hostname=hub.owner.host_name,
        device_id=device_id,
        server_verification_cert=hub.ca_file.read_text(),
    )
    info = await ask(client, "a")
    with blob_client(info) as blob:
        await asyncio.to_thread(blob.upload_blob, b"x")
    await asyncio.to_thread(client.notify_blob_upload_status, info["correlationId"], True, 200, "OK")
    await asyncio.to_thread(client.shutdown)
    assert [item["blobName"] for item in await told(device_id)] == [f"{device_id}/a"]


async def test_a_failed_upload_is_ended_and_not_told(rest: Any, sdk: Any, told: Any) -> None:
    device = await rest.device()
    client = sdk(device)
    info = await ask(client, "a")
    await asyncio.to_thread(client.notify_blob_upload_status, info["correlationId"], False, 500, "no")
    assert await told(device.identity.device_id) == []
    with pytest.raises(ClientError):
        await asyncio.to_thread(client.notify_blob_upload_status, info["correlationId"], False, 500, "no")


async def test_node_s_form_has_the_correlation_id_in_the_path(rest: Any, told: Any) -> None:
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}/files"
    info = (await rest.call("POST", path, {"blobName": "a"}, token=device.token())).body
    body = {"isSuccess": False, "statusCode": 500, "statusDescription": "no"}
    answer = await rest.call("POST", f"{path}/notifications/{info['correlationId']}", body, token=device.token())
    assert answer.status == 204


async def test_only_the_device_itself_may_ask(rest: Any) -> None:
    device, other = await rest.device(), await rest.device()
    path = f"/devices/{device.identity.device_id}/files"
    assert (await rest.call("POST", path, {"blobName": "a"}, token=other.token())).status == 401
    assert (await rest.call("POST", f"{path}/notifications", {}, token=other.token())).status == 401


async def test_the_eleventh_upload_is_refused(rest: Any) -> None:
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}/files"
    answers = [await rest.call("POST", path, {"blobName": "a"}, token=device.token()) for _ in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [403]
    assert answers[-1].headers["iothub-errorcode"] == "DeviceMaximumActiveFileUploadLimitExceeded"


async def test_a_signature_is_for_its_own_blob(rest: Any, sdk: Any, blob_client: Any) -> None:
    info = await ask(sdk(await rest.device()), "a")
    other = {**info, "blobName": f"{info['blobName']}x"}
    with blob_client(other) as blob, pytest.raises(ClientAuthenticationError):
        await asyncio.to_thread(blob.upload_blob, b"x", overwrite=True)


async def test_a_signature_allows_no_deletion(rest: Any, sdk: Any, blob_client: Any) -> None:
    with blob_client(await ask(sdk(await rest.device()), "a")) as blob:
        await asyncio.to_thread(blob.upload_blob, b"x")
        with pytest.raises(HttpResponseError, match="AuthorizationPermissionMismatch"):
            await asyncio.to_thread(blob.delete_blob)


def resident_bytes(pid: int) -> int:
    answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True)
    return int(answer.stdout) * 1024


@pytest.mark.parametrize(
    "options", [{}, {"max_single_put_size": MIB, "max_block_size": 4 * MIB}], ids=["whole", "blocks"]
)
async def test_fifty_megabytes_go_through_without_being_held(
    hub: Any, rest: Any, sdk: Any, blob_client: Any, options: dict[str, int]
) -> None:
    data = random.Random(1).randbytes(50 * MIB)
    pid = hub.process.pid
    before, seen = resident_bytes(pid), list[int]()

    def upload(blob: Any) -> None:
        blob.upload_blob(Watched(data, lambda: seen.append(resident_bytes(pid))), length=len(data), max_concurrency=2)

    with blob_client(await ask(sdk(await rest.device()), "big"), **options) as blob:
        await asyncio.to_thread(upload, blob)
        seen.append(resident_bytes(pid))
        downloaded = await asyncio.to_thread(lambda: blob.download_blob(max_concurrency=2).readall())
        seen.append(resident_bytes(pid))
    assert downloaded == data
    assert max(seen) - before < 24 * MIB


async def test_with_an_account_elsewhere_files_go_there(
    hub: Any,
    own_hub_with: Any,
    rest_of: Any,
    blob_client: Any,
    storage: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The account elsewhere is that of another hub."""
    monkeypatch.setenv("SSL_CERT_FILE", str(hub.ca_file))
    account = hub_environment(hub.home)["IOTHUB_STORAGE_CONNECTION_STRING"]
    other = await asyncio.to_thread(own_hub_with, "--storage", account)
    rest = rest_of(other)
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}/files"
    info = (await rest.call("POST", path, {"blobName": "a"}, token=device.token())).body
    outcome = {"correlationId": info["correlationId"], "isSuccess": True, "statusCode": 200}
    early = await rest.call("POST", f"{path}/notifications", outcome, token=device.token())
    assert (early.status, early.headers["iothub-errorcode"]) == (400, "InvalidStorageEndpointOrBlob")
    with blob_client(info) as blob:
        await asyncio.to_thread(blob.upload_blob, b"x")
    assert (await rest.call("POST", f"{path}/notifications", outcome, token=device.token())).status == 204
    assert (await asyncio.to_thread(storage.download_blob, info["blobName"])).readall() == b"x"
    assert "IOTHUB_STORAGE_CONNECTION_STRING" not in hub_environment(other.home)


async def test_with_storage_off_uploads_are_refused_by_name(own_hub_with: Any, rest_of: Any) -> None:
    rest = rest_of(await asyncio.to_thread(own_hub_with, "--storage", "off"))
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}/files"
    answer = await rest.call("POST", path, {"blobName": "a"}, token=device.token())
    assert (answer.status, answer.headers["iothub-errorcode"]) == (400, "DefaultStorageEndpointNotConfigured")


class Watched(io.BytesIO):
    """Calls ``watch`` now and then as it is read."""

    def __init__(self, data: bytes, watch: Callable[[], None]) -> None:
        super().__init__(data)
        self._watch = watch
        self._next = 0

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self._next:
            self._next = self.tell() + 8 * MIB
            self._watch()
        return super().read(size)
