"""The hub's listening sockets, bound and listening before anything else starts, so that a busy port is found first.

HTTPS takes 443 where the system allows it, else 8443; a port that was asked for is never replaced by another.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import resource
import socket

from iot_core.errors import InputError

__all__ = [
    "AMQPS_PORT",
    "FALLBACK_HTTPS_PORT",
    "HTTPS_PORT",
    "PortError",
    "http_socket",
    "listening_socket",
    "loopback_of",
    "raise_file_limit",
]

AMQPS_PORT = 5671
"""The port that AMQP clients dial unless their connection string has another, and some always."""
HTTPS_PORT = 443
"""The one port that every client can reach (several SDKs allow no other)."""
FALLBACK_HTTPS_PORT = 8443
"""Taken when the system keeps 443 for privileged programs."""
BACKLOG = 4096
"""A fleet that connects at once must not be refused; the system cuts this to its own limit."""
FEW_FILES = 4096
"""Below this many open files, hundreds of devices on one hub come close to the limit."""


class PortError(InputError):
    """A port or address that the hub cannot listen on."""


def listening_socket(host: str, port: int, use: str) -> socket.socket:
    """A socket that listens on ``host`` (an address, or a name of this machine); PortError says how to get round."""
    if port not in range(65_536):
        raise PortError(f"port {port} ({use}) does not exist: choose one of 1 to 65535")
    family, address = _resolve(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier hub that wait in TIME_WAIT must not keep this one from starting.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PortError(_explain(error, host, port, use)) from error
    return listener


def http_socket(host: str, port: int | None) -> socket.socket:
    """The HTTPS socket: on ``port`` when given, else on 443 or, where that is not permitted, on 8443."""
    if port is not None:
        return listening_socket(host, port, "HTTPS")
    try:
        return listening_socket(host, HTTPS_PORT, "HTTPS")
    except PortError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
    return listening_socket(host, FALLBACK_HTTPS_PORT, "HTTPS")


def loopback_of(host: str) -> str:
    """``host``'s own address when that is a loopback one, else 127.0.0.1."""
    address = _resolve(host, 0)[1][0]
    return address if ipaddress.ip_address(address.partition("%")[0]).is_loopback else "127.0.0.1"


def raise_file_limit() -> str | None:
    """Allow as many open files as the system permits; a warning when that is few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS reports an unlimited hard limit and then refuses it.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= FEW_FILES:
        return None
    return f"only {soft} files may be open here, one for each connected device: raise the hard limit (ulimit -Hn)"


_OTHERS = {8883: "another hub, an MQTT broker", AMQPS_PORT: "another hub, an AMQP broker"}
"""Who else likes to listen on a port."""


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise PortError(f"--host {host} is neither an address nor a name that this machine knows") from error
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(address[0]), port)


def _explain(error: OSError, host: str, port: int, use: str) -> str:
    where = f"port {port} ({use}) on {host}"
    if error.errno == errno.EADDRINUSE:
        who = _OTHERS.get(port, "another hub, a web server")
        return f"{where} is busy ({who}?): stop that, or give this hub an address of its own with --host 127.0.0.2"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: on macOS, add it with sudo ifconfig lo0 alias {host} up"
    if isinstance(error, PermissionError):
        return f"{where} is kept for privileged programs: choose one above 1023 with --http-port {FALLBACK_HTTPS_PORT}"
    return f"{where} cannot be listened on: {error.strerror}"
