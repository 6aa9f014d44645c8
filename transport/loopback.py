"""Loopback addresses of one's own, so that hubs and edges that run side by side each have their well-known ports."""

from __future__ import annotations

import errno
import secrets
import socket
import sys
from collections.abc import Collection, Iterator, Sequence

from iot_core.errors import InputError

__all__ = ["NoFreeAddressError", "free_loopback_address"]

ATTEMPTS = 50
"""Random addresses tried on Linux; there are 16 million, so the second is hardly ever needed."""
FIRST_ALIASES = tuple(f"127.0.0.{last}" for last in range(1, 10))
"""Tried elsewhere, where an address of 127/8 exists only once somebody has added it."""


class NoFreeAddressError(InputError):
    """No loopback address has the ports free."""


def free_loopback_address(ports: Sequence[int], *, taken: Collection[str] = ()) -> str:
    """An address of 127/8 that is not in `taken` and on which all of `ports` can be bound now.

    On Linux all of 127/8 is there to take; elsewhere only the addresses that exist. Raises `NoFreeAddressError`.
    """
    for address in _candidates():
        if address not in taken and all(_can_bind(address, port) for port in ports):
            return address
    listing = ", ".join(map(str, ports))
    raise NoFreeAddressError(
        f"no loopback address is free on port {listing}: stop what uses them"
        + ("" if sys.platform == "linux" else ", or add an address: sudo ifconfig lo0 alias 127.0.0.2")
    )


def _candidates() -> Iterator[str]:
    if sys.platform == "linux":
        for _ in range(ATTEMPTS):
            yield ".".join(["127", *(str(1 + secrets.randbelow(253)) for _ in range(3))])
    else:
        yield from FIRST_ALIASES


def _can_bind(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            # A port that needs a right we lack (443, say) is not taken: whoever binds it falls back by himself.
            return error.errno == errno.EACCES
        return True
