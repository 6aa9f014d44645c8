"""The modules of one edge device, set by themselves and not by automatic deployments.

Source: IoT Edge documentation, "Deploy Azure IoT Edge modules with Azure CLI" (set-modules), and the IoT Hub REST API,
"Configuration: Apply On Edge Device".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub_tools.concurrency import map_bounded
from hub_tools.deployments import expand_template, read_variables
from hub_tools.service import HubService
from hub_tools.stacks.difference import Difference, difference
from hub_tools.validation import validate_files, with_references
from iot_core.errors import InputError, ManifestError
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from iot_core.manifest.envelope import AGENT, DESIRED, HUB, modules_content
from iot_core.manifest.findings import Finding, Severity

__all__ = ["DeviceModules", "ModulesPreview", "preview_modules", "read_device_modules"]

READ_AT_ONCE = 10  # twins of one device; its modules are rarely more
_BOOKKEEPING = frozenset({"$metadata", "$version"})


@dataclass(frozen=True, kw_only=True)
class DeviceModules:
    """A deployment for one device: `content` as it is applied, `shown` with references for secrets, their `values`,
    and the warnings on it.
    """

    content: JsonObject
    shown: JsonObject
    values: Mapping[str, str]
    warnings: tuple[Finding, ...]

    @property
    def names(self) -> list[str]:
        """The modules it runs, without those of the runtime."""
        return sorted(_desired(self.content)[AGENT].get("modules", {}))


@dataclass(frozen=True, kw_only=True)
class ModulesPreview:
    """What a device would see; `deployments` are automatic ones that are applied to it now."""

    difference: Difference
    deployments: tuple[str, ...]


def read_device_modules(file: Path, *, variables: Mapping[str, str] | None = None) -> DeviceModules:
    """A template or manifest, checked by rules and policies.

    Raises ManifestError with the first error and how many there are, and for a layer: a device takes a whole one.
    """
    values = read_variables(file.parent) if variables is None else variables
    found = [item.finding for item in validate_files([file], variables=values, kind="base")]
    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    if errors:
        more = f" And {len(errors) - 1} more: edgeyard validate {file}" if errors[1:] else ""
        raise ManifestError(f"{errors[0]}.{more}", path=str(file))
    return DeviceModules(
        content=expand_template(file, variables=values),
        shown=expand_template(file, variables=with_references(values)),
        values=values,
        warnings=tuple(finding for finding in found if finding.severity is Severity.WARNING),
    )


async def preview_modules(service: HubService, device_id: str, modules: DeviceModules) -> ModulesPreview:
    """What would change on the device; HubError 404001 when it does not exist, InputError when it is no edge device."""
    device = await service.get_device(device_id)
    if not (device.get("capabilities") or {}).get("iotEdge"):
        raise InputError(
            f"{device_id} is not an edge device: create one with `edgeyard devices create {device_id} --edge`"
        )
    twins = await _twins(service, device_id)
    before = {name: _values(twin) for name, twin in twins.items()}
    after = {**before, **_desired(modules.shown)}
    return ModulesPreview(
        difference=difference(before, after, modules.values.get),
        deployments=tuple(
            sorted(
                name
                for name, state in (twins.get(AGENT, {}).get("configurations") or {}).items()
                if str(state.get("status")).lower() == "applied"
            )
        ),
    )


async def _twins(service: HubService, device_id: str) -> dict[str, JsonObject]:
    listed = [str(item["moduleId"]) for item in await service.list_modules(device_id)]
    names = list(dict.fromkeys([AGENT, HUB, *listed]))
    twins = await map_bounded(lambda name: service.get_twin(Identity(device_id, name)), names, at_once=READ_AT_ONCE)
    return dict(zip(names, twins, strict=True))


def _values(twin: JsonObject) -> JsonObject:
    desired = (twin.get("properties") or {}).get("desired") or {}
    return {name: value for name, value in desired.items() if name not in _BOOKKEEPING}


def _desired(content: JsonObject) -> dict[str, JsonObject]:
    return {name: parts[DESIRED] for name, parts in modules_content(content).items()}
