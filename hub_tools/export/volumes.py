"""Binds and Mounts of createOptions as one list of volumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from hub_tools.export.plain import Options
from iot_core.errors import ManifestError

__all__ = ["Volume", "take_volumes"]

Kind = Literal["bind", "volume", "tmpfs"]
_KNOWN = {"Type", "Source", "Target", "ReadOnly"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """`source` is a path of the host (bind), the name of a volume ("" for one without), or nothing (tmpfs)."""

    kind: Kind
    source: str
    target: str
    read_only: bool = False
    mode: str = ""
    """Other flags of a bind: z, Z, rshared …"""


def take_volumes(name: str, options: Options, warnings: list[str]) -> list[Volume]:
    """All volumes of a module, taken from its options; ManifestError for one that no engine would read."""
    binds = [_bind(name, text) for text in options.take("HostConfig.Binds", [])]
    mounts = [each for item in options.take("HostConfig.Mounts", []) for each in _mount(name, item, warnings)]
    unnamed = [Volume(kind="volume", source="", target=target) for target in options.take("Volumes", {})]
    tmpfs = options.take("HostConfig.Tmpfs", {})
    return [*binds, *mounts, *unnamed, *(Volume(kind="tmpfs", source="", target=target) for target in tmpfs)]


def _bind(name: str, text: Any) -> Volume:
    source, _, rest = str(text).partition(":")
    target, _, flags = rest.partition(":")
    if not source or not target.startswith("/"):
        raise ManifestError(f"{text!r} is not a bind such as /host/path:/path or volume:/path", path=f"{name}.Binds")
    others = [flag for flag in flags.split(",") if flag and flag not in ("ro", "rw")]
    kind: Kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
    return Volume(kind=kind, source=source, target=target, read_only="ro" in flags.split(","), mode=",".join(others))


def _mount(name: str, item: dict[str, Any], warnings: list[str]) -> Iterator[Volume]:
    kind = item.get("Type", "volume")
    target = item.get("Target")
    if kind not in ("bind", "volume", "tmpfs") or not isinstance(target, str):
        warnings.append(f"{name}: HostConfig.Mounts of type {kind} cannot be carried over")
        return
    for key in sorted(set(item) - _KNOWN):
        warnings.append(f"{name}: HostConfig.Mounts.{key} of {target} cannot be carried over")
    source = str(item.get("Source") or "")
    yield Volume(kind=kind, source=source, target=target, read_only=bool(item.get("ReadOnly")))
