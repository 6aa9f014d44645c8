"""A hub in memory for jobs: twins, queries over them, writes, and jobs that end at their first look."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from hub_tools.jobs.timing import Timing
from hub_tools.service import BulkResult, Json, MethodResult, QueryPage
from iot_core.clock import ManualClock, iso
from iot_core.configurations import compile_target
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.query import run
from iot_core.twin import Section, merge_patch

Answer = Callable[[str, Json], Any]


class FakeHub:
    """Devices that acknowledge what `answers` says ("ok", a reason to refuse, or None) when they are connected.

    `failures` are raised by the next calls, one each. `lagging` twins are what queries see in place of the real ones.
    """

    host_name = "fake.azure-devices.net"

    def __init__(self, *devices: str, connected: bool = True, tags: Json | None = None) -> None:
        self.desired = {name: Section.new("desired", iso(0)) for name in devices}
        self.reported: dict[str, Json] = {name: {} for name in devices}
        self.tags: dict[str, Json] = {name: dict(tags or {}) for name in devices}
        self.connected = dict.fromkeys(devices, connected)
        self.answers: dict[str, str | None] = dict.fromkeys(devices, "ok")
        self.methods: dict[str, int] = {}
        self.failures: deque[Exception] = deque()
        self.lagging: dict[str, Json] = {}
        self.queries: list[str] = []
        self.jobs: dict[str, Json] = {}
        self.rows: list[Json] = []
        self.other_jobs: list[Json] = []
        self.calls: list[str] = []
        self.page_rows = 1000

    def twin(self, name: str) -> Json:
        return {
            "deviceId": name,
            "connectionState": "Connected" if self.connected[name] else "Disconnected",
            "etag": self.etag(name),
            "lastActivityTime": iso(1000.0) if self.connected[name] else "0001-01-01T00:00:00Z",
            "tags": self.tags[name],
            "properties": {"desired": self.desired[name].view(), "reported": self.reported[name]},
        }

    def etag(self, name: str) -> str:
        return f"{self.desired[name].version}-{sorted(self.tags[name].items())}"

    def write(self, name: str, patch: Json) -> None:
        desired = patch.get("properties", {}).get("desired", {})
        self.tags[name] = merge_patch(self.tags[name], patch.get("tags", {}))
        if not desired:
            return
        self.desired[name] = self.desired[name].patched(desired, iso(0))
        self.answer(name, desired)

    def answer(self, name: str, desired: Json) -> None:
        """What the device says to settings of the version that is in force, at once or later."""
        said = self.answers[name]
        if said is None or not self.connected[name]:
            return
        code = {"ac": 200} if said == "ok" else {"ac": 400, "ad": said}
        self.reported[name] |= {key: {"value": value, "av": self.desired[name].version, **code}
                                for key, value in desired.items()}  # fmt: skip

    async def query_pages(
        self, text: str, *, page_size: int = 100, continuation: str | None = None
    ) -> AsyncIterator[QueryPage]:
        self._fail()
        self.queries.append(text)
        documents = self.rows if "devices.jobs" in text else [self.lagging.get(n, self.twin(n)) for n in self.desired]
        rows = [dict(row) for row in run(text, documents)]
        size = min(page_size, self.page_rows)
        for start in range(0, max(len(rows), 1), size):
            more = "more" if start + size < len(rows) else None
            yield QueryPage(rows=rows[start : start + size], continuation=more, size_bytes=1000)

    async def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        async for page in self.query_pages(text, page_size=page_size):
            for row in page.rows:
                yield row

    async def get_twin(self, identity: Identity) -> Json:
        self.calls.append(f"read {identity.device_id}")
        if identity.device_id not in self.desired:
            raise hub_error("DeviceNotFound", f"there is no {identity.device_id}")
        return self.twin(identity.device_id)

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        self._fail()
        self.calls.append(f"patch {identity.device_id}")
        if identity.device_id not in self.desired:
            raise hub_error("DeviceNotFound", f"there is no {identity.device_id}")
        if etag not in (None, self.etag(identity.device_id)):
            raise hub_error("PreconditionFailed", "another twin is there")
        self.write(identity.device_id, patch)
        return self.twin(identity.device_id)

    async def change_devices(self, items: Sequence[Json]) -> BulkResult:
        self._fail()
        self.calls.append(f"bulk {len(items)}")
        errors = []
        for item in items:
            if item["id"] in self.desired and item.get("twinETag") not in (None, self.etag(item["id"])):
                errors.append({"deviceId": item["id"], "errorCode": "PreconditionFailed"})
            elif item["id"] in self.desired:
                self.write(item["id"], item)
            else:
                errors.append({"deviceId": item["id"], "errorCode": "DeviceNotFound"})
        return BulkResult(errors=errors, warnings=[])

    async def invoke_method(self, identity: Identity, name: str, payload: Any = None, **options: Any) -> MethodResult:
        self._fail()
        self.calls.append(f"{name} {identity.device_id}")
        if not self.connected[identity.device_id]:
            raise hub_error("DeviceNotOnline", f"{identity.device_id} is away")
        return MethodResult(status=self.methods.get(identity.device_id, 200), payload=None)

    async def create_job(self, job_id: str, job: Json) -> Json:
        self._fail()
        matches = compile_target(job["queryCondition"])
        self.jobs[job_id] = {**job, "status": "completed"}
        for name in [name for name in self.desired if matches(self.twin(name))]:
            self.rows.append({"jobId": job_id, "deviceId": name, "status": "completed"} | self._work(name, job))
        return {"status": "queued"}

    def _work(self, name: str, job: Json) -> Json:
        if "updateTwin" in job:
            self.write(name, job["updateTwin"])
            return {}
        return {"outcome": {"deviceMethodResponse": {"status": self.methods.get(name, 200), "payload": None}}}

    async def get_job(self, job_id: str) -> Json:
        return self.jobs.get(job_id, {"status": "unknown"})

    async def cancel_job(self, job_id: str) -> Json:
        self.calls.append(f"cancel {job_id}")
        return {}

    async def list_jobs(self, **filters: Any) -> list[Json]:
        return self.other_jobs

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()


def by_hand() -> tuple[ManualClock, Timing]:
    """A clock that moves when somebody sleeps."""
    import asyncio

    clock = ManualClock(1_000_000.0)

    async def sleep(seconds: float) -> None:
        clock.advance(max(seconds, 0.0))
        await asyncio.sleep(0)

    return clock, Timing(clock=clock, sleep=sleep)


class Notes:
    """A journal in memory: everything in its order, "sync" included."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def before(self, device_id: str, previous: Any, versions: Any) -> None:
        self.lines.append(("before", device_id, dict(previous), dict(versions)))

    def outcome(self, device_id: str, state: str, cause: str = "") -> None:
        self.lines.append(("outcome", device_id, str(state), cause))

    def sync(self) -> None:
        self.lines.append(("sync",))
