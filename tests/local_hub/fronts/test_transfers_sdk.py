"""Import and export jobs with azure-iot-hub and azure-storage-blob, unmodified, over the hub's blob endpoint."""

from __future__ import annotations

import json
import platform
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

if not (platform.machine() == "x86_64" and sys.platform == "linux"):
    pytest.skip("azure-iot-hub needs uamqp, which has wheels for x86-64 Linux only", allow_module_level=True)

from azure.core.exceptions import ResourceNotFoundError
from azure.iot.hub import IoTHubJobManager
from azure.iot.hub.models import JobProperties
from azure.storage.blob import BlobServiceClient, ContainerClient, generate_container_sas
from msrest.exceptions import HttpOperationError

from iot_core import sas
from iot_core.connection_string import ConnectionString
from local_hub.environment import hub_environment

pytestmark = pytest.mark.acceptance

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture
def jobs(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[IoTHubJobManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    manager = IoTHubJobManager.from_connection_string(str(hub.owner))
    yield manager
    manager.protocol.close()


@pytest.fixture
def container(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerClient]:
    """A container of the test's own in the built-in blob endpoint."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    text = hub_environment(hub.home)["IOTHUB_STORAGE_CONNECTION_STRING"]
    with BlobServiceClient.from_connection_string(text) as service:
        created = service.create_container(f"t-{uuid.uuid4().hex[:12]}")
        yield created
        created.delete_container()


def signed(container: ContainerClient, rights: str = "rwdl", hours: int = 1) -> str:
    token = generate_container_sas(
        container.account_name,
        container.container_name,
        account_key=container.credential.account_key,
        permission=rights,
        expiry=datetime.now(UTC) + timedelta(hours=hours),
    )
    return f"{container.url}?{token}"


@pytest.fixture
def done(jobs: IoTHubJobManager, eventually: Eventually) -> Callable[..., Awaitable[Any]]:
    """Starts a job and gives it once it has ended."""

    async def run(**properties: Any) -> Any:
        created = jobs.create_import_export_job(JobProperties(**properties))

        async def ended() -> Any:
            found = jobs.get_import_export_job(created.job_id)
            return found if found.status in ENDED else None

        return await eventually(ended)

    return run


async def test_an_export_is_in_the_container(rest: Any, container: ContainerClient, done: Any, jobs: Any) -> None:
    device = await rest.device("m")
    job = await done(type="export", output_blob_container_uri=signed(container))
    lines = [json.loads(line) for line in container.download_blob("devices.txt").readall().splitlines()]
    found = [line for line in lines if line["id"] == device.identity.device_id]
    assert (job.status, job.progress, job.failure_reason) == ("completed", 100, None)
    assert (job.output_blob_container_uri, job.output_blob_name) == (None, "devices.txt")
    assert job.start_time_utc <= job.end_time_utc
    assert [line.get("moduleId") for line in found] == [None, "m"]
    assert found[1]["authentication"]["symmetricKey"]["primaryKey"] == device.key
    assert job.job_id in {one.job_id for one in jobs.get_import_export_jobs()}


async def test_an_import_makes_devices_and_logs_what_it_could_not_do(
    rest: Any, container: ContainerClient, done: Any
) -> None:
    old, new = (await rest.device()).identity.device_id, f"d-{uuid.uuid4().hex[:8]}"
    lines = [{"id": name, "importMode": "create", "status": "enabled"} for name in (new, old)]
    container.upload_blob("devices.txt", "\n".join(map(json.dumps, lines)))
    address = signed(container)
    job = await done(type="import", input_blob_container_uri=address, output_blob_container_uri=address)
    log = container.download_blob("importErrors.log").readall().splitlines()
    assert (job.status, job.failure_reason) == ("completed", None)
    assert (await rest.call("GET", f"/devices/{new}")).body["status"] == "enabled"
    assert [(entry["deviceId"], entry["errorCode"]) for entry in map(json.loads, log)] == [(old, 409001)]


async def test_an_import_by_another_name_from_a_container_that_may_only_be_read(
    rest: Any, container: ContainerClient, done: Any
) -> None:
    name = f"d-{uuid.uuid4().hex[:8]}"
    container.upload_blob("my devices.txt", json.dumps({"id": name, "status": "disabled"}))
    job = await done(
        type="import",
        input_blob_container_uri=signed(container, "r"),
        output_blob_container_uri=signed(container),
        input_blob_name="my devices.txt",
    )
    assert (job.status, job.input_blob_name) == ("completed", "my devices.txt")
    assert (await rest.call("GET", f"/devices/{name}")).body["status"] == "disabled"
    assert container.download_blob("importErrors.log").readall() == b""


@pytest.mark.parametrize("why", ["rights", "expired", "key", "container", "no signature", "no address", "nobody there"])
async def test_a_container_that_cannot_be_used_is_refused_at_once(
    container: ContainerClient, jobs: IoTHubJobManager, why: str
) -> None:
    good = signed(container)
    address = {
        "rights": signed(container, "rw"),
        "expired": signed(container, hours=-1),
        "key": good.replace("sig=", "sig=A"),
        "container": good.replace(container.container_name, "t-none"),
        "no signature": container.url,
        "no address": "devices",
        "nobody there": good.replace(container.url.split("/")[2], "127.0.0.1:9"),
    }[why]
    with pytest.raises(HttpOperationError) as refused:
        jobs.create_import_export_job(JobProperties(type="export", output_blob_container_uri=address))
    response = refused.value.response
    assert (response.status_code, response.headers["iothub-errorcode"]) == (400, "BlobContainerValidationError")
    assert "sig=" not in response.text
    with pytest.raises(ResourceNotFoundError):
        container.download_blob("devices.txt")


async def test_an_unknown_job_is_404(jobs: IoTHubJobManager) -> None:
    for call in (jobs.get_import_export_job, jobs.cancel_import_export_job):
        with pytest.raises(HttpOperationError) as missing:
            call("none")
        assert missing.value.response.headers["iothub-errorcode"] == "JobNotFound"


async def test_a_job_that_ended_may_be_cancelled_to_no_effect(
    container: ContainerClient, jobs: IoTHubJobManager, done: Any
) -> None:
    job = await done(type="export", output_blob_container_uri=signed(container))
    jobs.cancel_import_export_job(job.job_id)
    assert jobs.get_import_export_job(job.job_id).status == "completed"


async def test_a_service_policy_may_not_export(hub: Any, rest: Any) -> None:
    service = ConnectionString.parse((hub.home / "hub" / "service.connection").read_text())
    token = sas.token_for(service, time.time())
    answer = await rest.call("POST", "/jobs/create", {"type": "export"}, token=token)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")


async def test_an_import_from_the_hub_s_own_blobs_goes_on_after_a_restart(
    own_hub: Any, rest_of: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = own_hub()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(first.home / "hub" / "bundle.pem"))
    text = hub_environment(first.home)["IOTHUB_STORAGE_CONNECTION_STRING"]
    with BlobServiceClient.from_connection_string(text) as service:
        container = service.create_container("t-restart")
        lines = [json.dumps({"id": f"d{number}", "status": "enabled"}) for number in range(1500)]
        container.upload_blob("devices.txt", "\n".join(lines))
        address = signed(container)
    body = {"type": "import", "inputBlobContainerUri": address, "outputBlobContainerUri": address}
    created = await rest_of(first).call("POST", "/jobs/create", body)
    again = rest_of(own_hub())

    async def ended() -> Any:
        job = (await again.call("GET", f"/jobs/{created.body['jobId']}")).body
        return job if job["status"] in ENDED else None

    job = await eventually(ended)
    assert (job["status"], job["failureReason"]) == ("completed", None)
    assert (await again.call("GET", "/statistics/devices")).body["totalDeviceCount"] == 1500
