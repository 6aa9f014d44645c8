"""Digital twins: one view of what a device reports and what is desired of it (REST reference, "Digital Twin").

They have no data of their own: each is read off the device twin, written to its desired properties, and commanded by
direct methods.
"""

from __future__ import annotations

from typing import Any

from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from iot_core.plug_and_play import desired_patch, parse_operations
from local_hub.changes import Core
from local_hub.digital_twins.documents import digital_twin_of
from local_hub.documents import twin_etag
from local_hub.methods import Methods
from local_hub.preconditions import check_etag, wanted_etag
from local_hub.rows import Record
from local_hub.twins import changes as twin_changes
from local_hub.twins.changes import TwinChange
from local_hub.twins.twins import Twins, stored

__all__ = ["DigitalTwins"]


class DigitalTwins:
    """Reads, changes and commands the digital twins of devices; modules have none."""

    def __init__(self, core: Core, twins: Twins, methods: Methods) -> None:
        self._core = core
        self._twins = twins
        self._methods = methods

    def get(self, device: Identity) -> tuple[JsonObject, str]:
        """The digital twin and its etag, which is the device twin's; HubError DeviceNotFound."""
        record = self._core.store.read(lambda connection: stored(connection, device))
        return digital_twin_of(record), twin_etag(record.twin_etag)

    async def patch(self, device: Identity, document: Any, if_match: str | None) -> str:
        """Change what is desired by a JSON Patch; returns the new etag.

        HubError DeviceNotFound, PreconditionFailed, InvalidDigitalTwinJsonPatch, InvalidDigitalTwinPatchPath,
        InvalidDigitalTwinPatch, ArgumentInvalid. Nothing changes unless every operation can be done.
        """
        operations = parse_operations(document)
        now = self._core.clock.now()

        def change(record: Record) -> TwinChange:
            check_etag(wanted_etag(if_match), twin_etag(record.twin_etag))
            patch = desired_patch(operations, record.desired.values, record.reported.values)
            body = {"properties": {"desired": patch}} if patch else {}
            return twin_changes.patched(record, body, if_match, now)

        return str((await self._twins.write(device, "updateTwin", change))["etag"])

    async def command(self, device: Identity, component: str | None, name: str, call: JsonObject) -> JsonObject:
        """``{"status", "payload"}`` from the device; ``call`` is the body of a direct method without its name.

        A command of a component is the method ``component*name``. Raises as ``Methods.invoke``.
        """
        method = f"{component}*{name}" if component else name
        return await self._methods.invoke(device, {**call, "methodName": method})
