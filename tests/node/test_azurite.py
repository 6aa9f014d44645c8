"""Uploads into a storage account elsewhere, which is Azurite's: by the SDKs for Python and for Node.js."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient
from azure.storage.blob import BlobClient

from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from local_hub.home import HubHome
from local_hub.ports import HTTPS_PORT
from tests.acceptance.support import RunningHub
from tests.node.azurite import CONTAINER, Azurite
from tests.node.conftest import ONLY_443, PORTS
from tests.node.support import Door, Peer
from transport.loopback import free_loopback_address

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """With the container that the hub expects to be there."""
    started = Azurite(tmp_path_factory.mktemp("azurite"), "127.0.0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(started.authority))
        with started.service() as service:
            service.create_container(CONTAINER)
        yield started
    started.stop()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[RunningHub]:
    """A hub whose devices upload into Azurite."""
    home, host = tmp_path_factory.mktemp("home"), free_loopback_address(PORTS)
    command = [sys.executable, "-m", "local_hub", "--home", str(home), "--host", host]
    environment = {**os.environ, "SSL_CERT_FILE": str(azurite.authority)}
    with subprocess.Popen(
        [*command, "--storage", azurite.connection_string], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("hub ready")
        yield RunningHub(home, host)
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def peer(hub: RunningHub, azurite: Azurite) -> Iterator[Peer]:
    """It trusts the hub and Azurite."""
    started = Peer(hub, trusts=(HubHome(hub.home).authority, azurite.authority))
    yield started
    started.stop()


async def registered(hub: RunningHub) -> tuple[str, str]:
    """The id of a new device and its connection string."""
    device_id = f"up-{uuid.uuid4().hex[:8]}"
    async with RestHubService(hub.owner, ca_file=HubHome(hub.home).authority) as operators:
        made = await operators.create_device(device_id)
    key = made["authentication"]["symmetricKey"]["primaryKey"]
    return device_id, f"HostName={hub.host};DeviceId={device_id};SharedAccessKey={key}"


def stored(azurite: Azurite, name: str) -> bytes:
    with azurite.service() as service:
        return bytes(service.get_blob_client(CONTAINER, name).download_blob().readall())


def notifications(hub: RunningHub, device_id: str) -> list[dict[str, Any]]:
    items = [item["notification"] for item in Door(hub).call("/files/notifications?most=1000")]
    return [item for item in items if item["deviceId"] == device_id]


def upload(hub: RunningHub, connection_string: str, data: bytes) -> dict[str, Any]:
    """As the samples of azure-iot-device do it."""
    rest: ConnectionString = hub.owner
    client = IoTHubDeviceClient.create_from_connection_string(
        connection_string.replace(f"HostName={hub.host}", f"HostName={rest.host_name}"),
        server_verification_cert=hub.ca_pem,
    )
    try:
        info: Any = client.get_storage_info_for_blob("logs/to day.txt")
        address = "https://{hostName}/{containerName}/{blobName}{sasToken}".format(**info)
        with BlobClient.from_blob_url(address, max_single_put_size=1024, max_block_size=1024) as blob:
            blob.upload_blob(data, overwrite=True)
        client.notify_blob_upload_status(info["correlationId"], True, 200, "OK")
        return info
    finally:
        client.shutdown()


async def test_python_s_sdks_upload_through_the_hub_into_azurite(hub: RunningHub, azurite: Azurite) -> None:
    device_id, connection_string = await registered(hub)
    data = os.urandom(5000)
    info = await asyncio.to_thread(upload, hub, connection_string, data)
    name = f"{device_id}/logs/to day.txt"
    assert (info["blobName"], info["containerName"]) == (name, CONTAINER)
    assert await asyncio.to_thread(stored, azurite, name) == data
    [notification] = notifications(hub, device_id)
    assert (notification["blobName"], notification["blobSizeInBytes"]) == (name, 5000)


@pytest.mark.parametrize("transport", ["Mqtt", "Amqp", "Http"])
async def test_node_s_device_sdk_uploads_into_azurite(
    hub: RunningHub, azurite: Azurite, peer: Peer, transport: str
) -> None:
    if json.loads(HubHome(hub.home).running.read_text())["http_port"] != HTTPS_PORT:
        pytest.skip(ONLY_443)
    device_id, connection_string = await registered(hub)
    peer.call("open", device_id, transport, connection_string)
    try:
        peer.call("upload", device_id, "photo.txt", "from Node.js")
    finally:
        peer.call("close", device_id)
    assert await asyncio.to_thread(stored, azurite, f"{device_id}/photo.txt") == b"from Node.js"
    assert [item["blobName"] for item in notifications(hub, device_id)] == [f"{device_id}/photo.txt"]
