"""Import and export jobs in the core, with containers in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from local_hub.hub import Hub
from local_hub.transfer.container import ContainerError
from local_hub.transfer.lines import WITHOUT_KEYS

KEY = "a2V5LW9mLWV4YWN0bHktMzItYnl0ZXMtaW4tYWxsISE="
AUTHENTICATION = {"type": "sas", "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}}
EXPORT = {"type": "export", "outputBlobContainerUri": "mem://out"}
IMPORT = {"type": "import", "inputBlobContainerUri": "mem://in", "outputBlobContainerUri": "mem://out"}


class Memory:
    """Containers by address; each is its own Container. Reads wait for ``gate``."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.staged: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reading = asyncio.Event()
        self.broken = False

    async def check(self, address: str, _rights: str) -> None:
        if "bad" in address:
            raise hub_error("BlobContainerValidationError", "bad")

    def open(self, _address: str) -> Memory:
        return self

    async def size(self, blob: str) -> int | None:
        return len(self.blobs[blob]) if blob in self.blobs else None

    async def read(self, blob: str, start: int, length: int) -> bytes:
        self.reading.set()
        await self.gate.wait()
        return self.blobs[blob][start : start + length]

    async def stage(self, _blob: str, number: int, content: bytes) -> None:
        self.staged[number:] = [content]

    async def commit(self, blob: str, blocks: int) -> None:
        if self.broken:
            raise ContainerError("the storage account answered 403, AuthorizationFailure")
        self.blobs[blob] = b"".join(self.staged[:blocks])

    def lines(self, blob: str) -> list[Any]:
        return [json.loads(line) for line in self.blobs[blob].splitlines()]

    def put(self, *lines: Any, blob: str = "devices.txt") -> None:
        texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        self.blobs[blob] = b"\n".join(texts)


@pytest.fixture
def memory(hub: Hub) -> Memory:
    hub.transfers.containers = Memory()
    return hub.transfers.containers


async def run(hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
    created = await hub.transfers.create(body)
    await hub.transfers.settled()
    return hub.transfers.get(created["jobId"])


async def imported(hub: Hub, memory: Memory, *lines: Any, **options: Any) -> list[Any]:
    """The error log after an import."""
    memory.put(*lines)
    job = await run(hub, {**IMPORT, **options})
    assert (job["status"], job["progress"], job["failureReason"]) == ("completed", 100, None)
    return memory.lines("importErrors.log")


def line(name: str, mode: str | None = None, **members: Any) -> dict[str, Any]:
    return {"id": name, "status": "enabled", **({"importMode": mode} if mode else {}), **members}


async def test_an_export_has_a_line_for_each_device_and_module(hub: Hub, memory: Memory) -> None:
    device = await hub.registry.put_device("d", {"authentication": AUTHENTICATION, "statusReason": "new"}, None)
    module = await hub.registry.put_module(Identity("d", "m"), {"managedBy": "someone"}, None)
    twin = await hub.twins.patch(Identity("d"), {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}, None)
    job = await run(hub, EXPORT)
    first, second = memory.lines("devices.txt")
    assert (job["type"], job["status"], job["progress"]) == ("export", "completed", 100)
    assert "outputBlobContainerUri" not in job
    assert (first["id"], first["eTag"], first["status"], first["statusReason"]) == (
        "d",
        device["etag"],
        "enabled",
        "new",
    )
    assert (first["authentication"], first["twinETag"]) == (device["authentication"], twin["etag"])
    assert (first["tags"], first["properties"]["desired"]["b"], first["capabilities"]) == (
        {"a": 1},
        2,
        {"iotEdge": False},
    )
    assert (second["id"], second["moduleId"], second["managedBy"]) == ("d", "m", "someone")
    assert second["authentication"] == module["authentication"]


async def test_an_export_without_keys_begins_with_a_warning(hub: Hub, memory: Memory) -> None:
    await hub.registry.put_device("d", {}, None)
    await run(hub, {**EXPORT, "excludeKeysInExport": True})
    warning, device = memory.blobs["devices.txt"].splitlines()
    assert warning == WITHOUT_KEYS
    assert json.loads(device)["authentication"]["symmetricKey"] == {"primaryKey": None, "secondaryKey": None}


async def test_an_export_without_keys_is_not_imported(hub: Hub, memory: Memory) -> None:
    memory.put(WITHOUT_KEYS, line("d"))
    job = await run(hub, IMPORT)
    assert job["status"] == "failed"
    assert job["failureReason"].startswith("ErrorCode:ImportWarningExistsError;")
    assert hub.registry.list_devices(10) == []


async def test_an_export_reads_more_than_one_page(hub: Hub, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_hub.transfer.exporting.PAGE", 2)
    for number in range(5):
        await hub.registry.put_device(f"d{number}", {}, None)
    await run(hub, EXPORT)
    assert [device["id"] for device in memory.lines("devices.txt")] == [f"d{number}" for number in range(5)]


async def test_an_export_imports_into_an_empty_hub(hub: Hub, memory: Memory) -> None:
    await hub.registry.put_device("d", {"authentication": AUTHENTICATION}, None)
    await hub.registry.put_module(Identity("d", "m"), {}, None)
    await hub.registry.put_device("e", {"capabilities": {"iotEdge": True}}, None)
    for identity in (Identity("d"), Identity("d", "m"), Identity("e", "$edgeAgent")):
        await hub.twins.patch(identity, {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}, None)
    await run(hub, EXPORT)
    for name in ("d", "e"):
        await hub.registry.delete_device(name, "*")
    await run(hub, IMPORT)
    assert memory.lines("importErrors.log") == []
    assert (
        hub.registry.get_device("d")["authentication"]
        == hub.registry.get_device("d")["authentication"] | AUTHENTICATION
    )
    assert hub.registry.get_device("e")["capabilities"] == {"iotEdge": True}
    for identity in (Identity("d"), Identity("d", "m"), Identity("e", "$edgeAgent")):
        twin = hub.twins.get(identity)
        assert (twin["tags"], twin["properties"]["desired"]["b"]) == ({"a": 1}, 2)


async def test_lines_without_a_mode_create_or_update(hub: Hub, memory: Memory) -> None:
    await hub.registry.put_device("old", {}, None)
    assert await imported(hub, memory, line("old", status="Disabled"), line("new", tags={"a": 1})) == []
    assert hub.registry.get_device("old")["status"] == "disabled"
    assert hub.twins.get(Identity("new"))["tags"] == {"a": 1}


@pytest.mark.parametrize(
    ("mode", "name", "code"),
    [
        ("create", "old", 409001),
        ("update", "new", 404001),
        ("updateIfMatchETag", "old", 412001),
        ("createOrUpdateIfMatchETag", "old", 412001),
        ("delete", "new", 404001),
        ("deleteIfMatchETag", "old", 412001),
        ("updateTwin", "new", 404001),
        ("updateTwinIfMatchETag", "old", 412001),
    ],
)
async def test_what_a_mode_does_not_allow_is_in_the_log(
    hub: Hub, memory: Memory, mode: str, name: str, code: int
) -> None:
    await hub.registry.put_device("old", {}, None)
    before = hub.registry.get_device("old")
    errors = await imported(hub, memory, line(name, mode, eTag="c3RhbGU=", twinETag="c3RhbGU="))
    assert [(error["deviceId"], error["errorCode"]) for error in errors] == [(name, code)]
    assert errors[0]["errorStatus"]
    assert [device["etag"] for device in hub.registry.list_devices(10)] == [before["etag"]]


@pytest.mark.parametrize("mode", ["create", "createOrUpdate", "createOrUpdateIfMatchETag"])
async def test_modes_that_create(hub: Hub, memory: Memory, mode: str) -> None:
    assert await imported(hub, memory, line("d", mode, eTag="MQ==", authentication=AUTHENTICATION)) == []
    assert hub.registry.get_device("d")["authentication"]["symmetricKey"]["primaryKey"] == KEY


async def test_modes_that_delete(hub: Hub, memory: Memory) -> None:
    etag = (await hub.registry.put_device("a", {}, None))["etag"]
    await hub.registry.put_device("b", {}, None)
    lines = (line("a", "deleteIfMatchETag", eTag=etag), line("b", "delete"))
    assert await imported(hub, memory, *lines) == []
    assert hub.registry.list_devices(10) == []


async def test_a_twin_s_etag_counts_apart_from_the_device_s(hub: Hub, memory: Memory) -> None:
    await hub.registry.put_device("d", {}, None)
    await hub.twins.patch(Identity("d"), {"tags": {"a": 1}}, None)
    errors = await imported(hub, memory, line("d", twinETag="c3RhbGU=", status="disabled", tags={"a": 2}))
    assert [error["errorCode"] for error in errors] == [412001]
    assert (hub.registry.get_device("d")["status"], hub.twins.get(Identity("d"))["tags"]) == ("disabled", {"a": 1})


@pytest.mark.parametrize(
    "bad", [b"{", b"[]", {"id": "d"}, {"status": "enabled"}, line("d", "sometimes"), line("d", status="asleep")]
)
async def test_a_line_that_is_no_device_is_in_the_log_and_the_others_count(hub: Hub, memory: Memory, bad: Any) -> None:
    errors = await imported(hub, memory, bad, line("good"), b"")
    assert [(error["errorCode"], "deviceId" in error) for error in errors] == [(400012, False)]
    assert [device["deviceId"] for device in hub.registry.list_devices(10)] == ["good"]


async def test_configurations_come_and_go_in_pascal_case(hub: Hub, memory: Memory) -> None:
    body: dict[str, Any] = {
        "content": {"deviceContent": {"properties.desired.a": {"camelCase": 1}}},
        "targetCondition": "tags.a = 1",
        "priority": 3,
        "labels": {"lower": "x"},
        "metrics": {"queries": {"mine": "SELECT deviceId FROM devices"}},
    }
    before = await hub.configurations.put("c", body, None)
    await run(hub, {**EXPORT, "includeConfigurations": True})
    (written,) = memory.lines("configurations.txt")
    await hub.configurations.delete("c", "*")
    assert await imported(hub, memory, includeConfigurations=True) == []
    after = await hub.configurations.get("c")
    assert (written["Id"], written["TargetCondition"], written["ETag"]) == ("c", "tags.a = 1", before["etag"])
    assert written["Content"] == {"DeviceContent": body["content"]["deviceContent"]}
    assert {name: after[name] for name in ("content", "priority", "labels")} == {
        name: body[name] for name in ("content", "priority", "labels")
    }
    assert after["metrics"]["queries"] == body["metrics"]["queries"]


async def test_a_configuration_that_has_moved_on_is_in_the_log(hub: Hub, memory: Memory) -> None:
    await hub.configurations.put("c", {"content": {"deviceContent": {"properties.desired.a": 1}}}, None)
    memory.put(
        {"Id": "c", "ETag": "OTk=", "Content": {"DeviceContent": {"properties.desired.a": 1}}},
        {"Id": 5},
        blob="configurations.txt",
    )
    errors = await imported(hub, memory, includeConfigurations=True)
    assert [(error.get("configurationId"), error["errorCode"]) for error in errors] == [("c", 412001), (None, 400012)]


async def test_one_job_at_a_time(hub: Hub, memory: Memory) -> None:
    memory.put(line("d"))
    memory.gate.clear()
    first = await hub.transfers.create(IMPORT)
    with pytest.raises(HubError) as refused:
        await hub.transfers.create(EXPORT)
    memory.gate.set()
    await hub.transfers.settled()
    await run(hub, EXPORT)
    assert (refused.value.code, first["status"]) == (403003, "enqueued")
    assert [job["status"] for job in hub.transfers.list()] == ["completed", "completed"]


async def test_a_cancelled_job_stops(hub: Hub, memory: Memory) -> None:
    memory.put(line("d"))
    memory.gate.clear()
    job_id = (await hub.transfers.create(IMPORT))["jobId"]
    await memory.reading.wait()
    assert hub.transfers.get(job_id)["status"] == "running"
    await hub.transfers.cancel(job_id)
    job = hub.transfers.get(job_id)
    assert (job["status"], job["endTimeUtc"] is None) == ("cancelled", False)
    assert hub.registry.list_devices(10) == []


async def test_cancelling_a_job_that_ended_changes_nothing(hub: Hub, memory: Memory) -> None:
    job = await run(hub, EXPORT)
    await hub.transfers.cancel(job["jobId"])
    assert hub.transfers.get(job["jobId"]) == job


async def test_an_unknown_job_is_404(hub: Hub) -> None:
    with pytest.raises(HubError, match="404002"):
        hub.transfers.get("none")
    with pytest.raises(HubError, match="404002"):
        await hub.transfers.cancel("none")


async def test_a_container_that_fails_makes_the_job_fail(hub: Hub, memory: Memory) -> None:
    memory.broken = True
    job = await run(hub, EXPORT)
    assert (job["status"], job["failureReason"]) == (
        "failed",
        "the storage account answered 403, AuthorizationFailure",
    )


async def test_a_missing_blob_makes_the_import_fail(hub: Hub, memory: Memory) -> None:
    job = await run(hub, {**IMPORT, "inputBlobName": "other.txt"})
    assert (job["status"], "other.txt" in job["failureReason"]) == ("failed", True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"type": "backup"}, "ArgumentInvalid"),
        ({"outputBlobName": 5}, "ArgumentInvalid"),
        ({"excludeKeysInExport": "yes"}, "ArgumentInvalid"),
        ({"outputBlobContainerUri": None}, "BlobContainerValidationError"),
        ({"inputBlobContainerUri": ""}, "BlobContainerValidationError"),
        ({"outputBlobContainerUri": "mem://bad"}, "BlobContainerValidationError"),
        ({"storageAuthenticationType": "identityBased"}, "ManagedIdentityNotEnabled"),
        ({"identity": {"userAssignedIdentity": "x"}}, "ManagedIdentityNotEnabled"),
    ],
)
async def test_a_bad_order_is_refused(hub: Hub, memory: Memory, change: dict[str, Any], name: str) -> None:
    with pytest.raises(HubError) as refused:
        await hub.transfers.create({**IMPORT, **change})
    assert refused.value.name == name
    assert hub.transfers.list() == []


async def test_an_import_goes_on_after_a_restart_behind_what_it_had_done(
    open_hub: Callable[[], Awaitable[Hub]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_hub.transfer.importing.BATCH", 1)
    monkeypatch.setattr("local_hub.transfer.blob_lines.BLOCK_BYTES", 60)
    hub, memory = await open_hub(), Memory()
    hub.transfers.containers = memory
    memory.put(line("a", "create"), b"{broken", *(line(name, "create") for name in "bcdef"))
    created = asyncio.Event()
    hub.events.publish = lambda event: created.set()  # type: ignore[method-assign]
    job_id = (await hub.transfers.create(IMPORT))["jobId"]
    await created.wait()
    memory.gate.clear()
    await hub.stop()
    await hub.store.close()
    memory.gate.set()
    monkeypatch.setattr("local_hub.hub.SignedContainers", lambda _bundle: memory)
    again = await open_hub()
    await again.transfers.settled()
    job = again.transfers.get(job_id)
    assert job["status"] == "completed"
    assert [device["deviceId"] for device in again.registry.list_devices(10)] == list("abcdef")
    assert 400012 in {error["errorCode"] for error in memory.lines("importErrors.log")}
    await again.stop()
    await again.store.close()


async def test_the_signatures_of_a_job_that_ended_are_forgotten(hub: Hub, memory: Memory) -> None:
    await run(hub, EXPORT)
    kept = hub.store.read(lambda connection: connection.execute("SELECT orders FROM transfers").fetchall())
    assert "mem://" not in str(kept)


async def test_jobs_are_forgotten_after_thirty_days(hub: Hub, memory: Memory, clock: ManualClock) -> None:
    await run(hub, EXPORT)
    clock.advance(31 * 24 * 3600)
    await hub.transfers.start()
    assert hub.transfers.list() == []
