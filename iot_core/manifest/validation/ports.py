"""V04: host ports that two running modules of one device want.

A port is taken by protocol and address: 127.0.0.1:80 and 127.0.0.2:80 stand beside each other, either of them and 80
on all addresses do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations
from typing import Any

from iot_core.manifest.validation.notes import Note, error
from iot_core.manifest.validation.reading import Entry, Reading, as_object

__all__ = ["host_ports"]

_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """Ports `first` to `last` of a protocol; `address` is "" for all, "0.0.0.0" or "::" for all of one family."""

    entry: Entry
    path: str
    protocol: str
    first: int
    last: int
    address: str

    def meets(self, other: _Taken) -> bool:
        return (
            self.protocol == other.protocol
            and self.first <= other.last
            and other.first <= self.last
            and _same_place(self.address, other.address)
        )

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.address}:{ports}/{self.protocol}" if self.address else f"{ports}/{self.protocol}"


def host_ports(reading: Reading) -> Iterator[Note]:
    """V04: one note a pair of bindings that meet, at the later one. Stopped modules bind nothing, nor do those on the
    host's network.
    """
    taken = [one for entry in reading.modules if entry.runs and not entry.host_network for one in _taken(entry)]
    for first, second in combinations(taken, 2):
        if first.meets(second):
            message = f"host port {second} of {second.entry.name} is taken by {first.entry.name} ({first})"
            yield error(second.path, message, "Bind another port or address, or stop one of the modules")


def _taken(entry: Entry) -> Iterator[_Taken]:
    path = f"{entry.options_path}.HostConfig.PortBindings"
    for key, bindings in as_object(entry.host_config.get("PortBindings")).items():
        protocol = key.partition("/")[2] or "tcp"
        for index, binding in enumerate(bindings if isinstance(bindings, list) else ()):
            match = _RANGE.fullmatch(str(as_object(binding).get("HostPort", "")))
            if match is None:
                continue
            yield _Taken(
                entry=entry,
                path=f"{path}.{key}[{index}]",
                protocol=protocol.lower(),
                first=int(match[1]),
                last=int(match[2] or match[1]),
                address=_address(as_object(binding).get("HostIp")),
            )


def _address(value: Any) -> str:
    text = value.strip().strip("[]") if isinstance(value, str) else ""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _same_place(one: str, other: str) -> bool:
    if one == other or "" in (one, other):
        return True
    for every, address in ((one, other), (other, one)):
        if (every == "0.0.0.0" and ":" not in address) or (every == "::" and ":" in address):
            return True
    return False
