"""The addresses an edge listens on: one of its own per edge, so that each can have the SDKs' fixed port 8883."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from local_edge.config import DEFAULT_HOST, METHOD_PORTS, MQTT_PORT
from local_edge.errors import AddressError

__all__ = ["find_free_host", "listening_socket", "method_socket"]

BACKLOG = 256
"""Connections that may wait to be accepted; an edge hub has about a hundred clients."""


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens on `host`:`port`; AddressError says what is in the way and what to do."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AddressError(_explain(error, host, port)) from error
    return listener


def method_socket(host: str, port: int | None) -> socket.socket:
    """The socket for method calls: on `port` when given, else on 443 or, where that is not permitted, on 8443."""
    if port is not None:
        return listening_socket(host, port)
    try:
        return listening_socket(host, METHOD_PORTS[0])
    except AddressError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
    return listening_socket(host, METHOD_PORTS[1])


def find_free_host(port: int = MQTT_PORT, but: str = "") -> str:
    """The first loopback address from 127.0.0.2 on, not `but`, whose `port` is free; AddressError without one."""
    for host in _candidates():
        if host != but and _is_free(host, port):
            return host
    raise AddressError(f"no loopback address from {DEFAULT_HOST} on has port {port} free: {_alias_hint(DEFAULT_HOST)}")


def _candidates() -> Iterator[str]:
    return (f"127.0.0.{last}" for last in range(2, 255))


def _is_free(host: str, port: int) -> bool:
    try:
        listening_socket(host, port).close()
    except AddressError:
        return False
    return True


def _explain(error: OSError, host: str, port: int) -> str:
    where = f"cannot listen on {host}:{port}"
    match error.errno:
        case errno.EADDRNOTAVAIL:
            return f"{where}: this machine has no such address; {_alias_hint(host)}"
        case errno.EADDRINUSE:
            return f"{where}: another program has it; give this edge an address of its own{_other(host, port)}"
        case errno.EACCES:
            return f"{where}: not permitted; choose a port above 1023"
        case _:
            return f"{where}: {error.strerror or error}"


def _other(host: str, port: int) -> str:
    try:
        return f", such as --host {find_free_host(port, but=host)}"
    except AddressError:
        return ""


def _alias_hint(host: str) -> str:
    return f"on macOS add it with: sudo ifconfig lo0 alias {host} up"
