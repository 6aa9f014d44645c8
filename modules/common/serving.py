"""An aiohttp application on a TCP port, with errors a person can act on."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from iot_core.errors import InputError

__all__ = ["port_number", "port_refused", "serving"]

READ_BUFFER = 4 * 1024 * 1024
"""Bytes a connection may hold before reading pauses: a tensor of 3 x 224 x 224 in JSON arrives without a pause."""
STOP_S = 2.0  # for requests under way when the process is told to stop; a module has 5 s in all


def port_number(text: str, name: str) -> int:
    """A TCP port from text; InputError names the option or variable that holds it. 0 means any free port."""
    if not text.isdecimal() or int(text) > 65_535:
        raise InputError(f"{name} is {text!r}: give a port from 0 to 65535")
    return int(text)


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int, *, remedy: str) -> AsyncIterator[int]:
    """Serve while the block runs and yield the port; InputError, ending with `remedy`, when it cannot be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S, read_bufsize=READ_BUFFER)
    await runner.setup()
    try:
        yield await _listen(runner, host, port, remedy)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int, remedy: str) -> int:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise InputError(port_refused(host, port, error, remedy)) from None
    return int(runner.addresses[0][1])


def port_refused(host: str, port: int, error: OSError, remedy: str) -> str:
    """Why a port cannot be listened on, in one line that ends with `remedy`."""
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror or error})"
    return f"port {port} on {host} {reason}: {remedy}"
