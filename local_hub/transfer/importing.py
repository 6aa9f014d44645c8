"""An import: lines of a blob, each applied on its own; what cannot be done is a line of ``importErrors.log``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import orjson

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import SYSTEM_MODULES, Identity
from iot_core.json_types import JsonObject
from local_hub.configurations.configurations import Configurations
from local_hub.preconditions import ANY
from local_hub.registry import bulk
from local_hub.registry.registry import Registry
from local_hub.transfer.blob_lines import Line, read_lines
from local_hub.transfer.container import Container
from local_hub.transfer.lines import WITHOUT_KEYS, configuration_of, error_line, identity_of, item_of
from local_hub.twins.twins import Twins

__all__ = ["Importer", "Report", "log_of"]

BATCH = 100
"""Lines that are applied side by side; those of one device in their order."""
NEW_VERSION = 2
"""Of a twin that nobody has written."""
Report = Callable[[int, Sequence[JsonObject]], Awaitable[None]]
"""Told how many bytes of the input are dealt with, and the errors among them; durable when it returns."""


class Importer:
    """Applies lines to the registry, the twins and the configurations."""

    def __init__(self, registry: Registry, twins: Twins, configurations: Configurations) -> None:
        self._registry = registry
        self._twins = twins
        self._configurations = configurations

    async def devices(self, container: Container, blob: str, start: int, size: int, report: Report) -> None:
        """Apply the lines of a blob from the byte ``start`` on.

        HubError ImportWarningExistsError for an export without keys; ContainerError.
        """
        async for batch in _batches(read_lines(container, blob, start, size)):
            if start == 0 and batch[0].text == WITHOUT_KEYS:
                text = "The first line says that keys were left out: remove it to give every device new keys."
                raise hub_error("ImportWarningExistsError", text)
            start = batch[-1].end
            await report(start, await self._apply(batch))

    async def configurations(self, container: Container, blob: str, size: int) -> list[JsonObject]:
        """Apply the configurations of a blob, by createOrUpdateIfMatchETag; the errors. ContainerError."""
        lines = [line.text async for line in read_lines(container, blob, 0, size) if line.text.strip()]
        outcomes = [await self._configuration(line) for line in lines]
        return [error for error in outcomes if error]

    async def _apply(self, batch: Sequence[Line]) -> list[JsonObject]:
        errors: list[JsonObject] = []
        devices: dict[str, list[tuple[Identity, JsonObject]]] = defaultdict(list)
        for line in batch:
            if not line.text.strip():
                continue
            try:
                item = item_of(line.text)
                identity = identity_of(item)
            except HubError as error:
                errors.append(error_line(error, {}))
            else:
                devices[identity.device_id].append((identity, item))
        for found in await asyncio.gather(*map(self._device, devices.values())):
            errors += found
        return errors

    async def _device(self, items: Sequence[tuple[Identity, JsonObject]]) -> list[JsonObject]:
        """One device's lines, one after the other; the errors."""
        errors = []
        for identity, item in items:
            try:
                await self._one(identity, item)
            except HubError as error:
                module = {"moduleId": identity.module_id} if identity.module_id else {}
                errors.append(error_line(error, {"deviceId": identity.device_id, **module}))
        return errors

    async def _one(self, identity: Identity, item: JsonObject) -> None:
        mode = item["importMode"]
        twin = _twin_of(item)
        # The hub makes these with their device; a line can only bring their twins.
        if identity.module_id not in SYSTEM_MODULES or "Update" not in mode:
            without = item if mode.startswith("updateTwin") else {**item, "tags": None, "properties": None}
            given = without if mode != "create" else {**without, "eTag": None}
            await bulk.apply_item(self._registry, self._twins, identity, given, mode)
        if twin and not mode.startswith(("updateTwin", "delete")):
            is_new = self._is_new(identity)
            await self._twins.patch(identity, twin, ANY if is_new else item.get("twinETag") or ANY)

    def _is_new(self, identity: Identity) -> bool:
        """Whether nobody has written the twin yet; the etag in the file is that of another life."""
        version: int = self._twins.get(identity)["version"]
        return version <= NEW_VERSION

    async def _configuration(self, line: bytes) -> JsonObject | None:
        """The error, if any."""
        about: JsonObject = {}
        try:
            body, etag = configuration_of(line)
            about = {"configurationId": body["id"]}
            try:
                await self._configurations.put(body["id"], body, None)
            except HubError as error:
                if error.name != "ConfigurationAlreadyExists":
                    raise
                await self._configurations.put(body["id"], body, etag or "")
        except HubError as error:
            return error_line(error, about)
        return None


async def _batches(lines: AsyncIterator[Line]) -> AsyncIterator[list[Line]]:
    batch: list[Line] = []
    async for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _twin_of(item: JsonObject) -> JsonObject:
    """Tags and desired properties as a patch; {} when the line brings none."""
    properties = item.get("properties")
    desired = properties.get("desired") if isinstance(properties, dict) else None
    tags = {"tags": item["tags"]} if item.get("tags") else {}
    if not isinstance(desired, dict) or all(name.startswith("$") for name in desired):
        return tags
    return {**tags, "properties": {"desired": desired}}


def log_of(errors: Sequence[JsonObject]) -> list[str]:
    """Errors as lines."""
    return [orjson.dumps(error).decode() for error in errors]
