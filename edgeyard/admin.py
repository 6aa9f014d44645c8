"""Client of the local hub's admin door, for `edgeyard hub trace` and the demo. Tools for operators never use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from iot_core.errors import EdgeyardError, InputError
from local_hub.home import HubHome

__all__ = ["AdminDoor"]

Json = dict[str, Any]
EVENT_LINE_LIMIT_BYTES = 1024 * 1024
"""A message of 256 KiB, escaped in JSON, stays below it."""


class AdminDoor:
    """The admin door of the hub that runs in a home folder; an async context manager."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._url = f"http://{host}:{port}"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, home: Path) -> AdminDoor:
        """The door of the hub in `home`; InputError when none runs there."""
        files = HubHome(home)
        try:
            running = json.loads(files.running.read_text())
            return cls(running["admin_host"], int(running["admin_port"]), files.admin_token.read_text().strip())
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"no hub runs in {home}: start one with `edgeyard hub run --home {home}`") from error

    async def __aenter__(self) -> AdminDoor:
        self._session = aiohttp.ClientSession(
            self._url,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, connect=5),
            read_bufsize=EVENT_LINE_LIMIT_BYTES,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._open().close()

    async def status(self) -> Json:
        """Addresses and counts of the hub."""
        async with self._request("/status") as response:
            return dict(await response.json())

    async def events(self, *, device: str | None = None) -> AsyncIterator[Json]:
        """Events from now on, until the hub stops; `device` leaves out those of all others."""
        query = {"device": device} if device else {}
        async with self._request("/events", query) as response:
            async for line in response.content:
                yield json.loads(line)

    async def authorities(self) -> list[Json]:
        """The certificate authorities that the hub trusts devices of: thumbprint, subject, expires, added."""
        async with self._request("/authorities") as response:
            return list(await response.json())

    async def trust(self, certificates: bytes) -> list[Json]:
        """Trust the authorities in a PEM or DER file, from the next log-in on; gives those. InputError."""
        async with self._request("/authorities", verb="POST", data=certificates) as response:
            return list(await response.json())

    async def distrust(self, thumbprint: str) -> None:
        """Trust an authority no longer; InputError when it was not trusted."""
        async with self._request("/authorities", {"thumbprint": thumbprint}, verb="DELETE"):
            pass

    async def call(self, verb: str, path: str, query: dict[str, str] | None = None, *, body: Json | None = None) -> Any:
        """What a path of the door answers, as JSON; InputError where the hub says what is wrong."""
        data = None if body is None else json.dumps(body).encode()
        async with self._request(path, query, verb=verb, data=data) as response:
            return await response.json()

    def _request(
        self, path: str, query: dict[str, str] | None = None, *, verb: str = "GET", data: bytes | None = None
    ) -> Any:
        return _Checked(self._open().request(verb, path, params=query, data=data))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("AdminDoor is used outside `async with`")
        return self._session


class _Checked:
    """A request whose failure is an EdgeyardError in one line; an InputError where the hub says what is wrong."""

    def __init__(self, request: Any) -> None:
        self._request = request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            response: aiohttp.ClientResponse = await self._request.__aenter__()
        except aiohttp.ClientError as error:
            raise EdgeyardError(f"the local hub does not answer: {error}") from error
        if response.status == 400:
            text = await response.text()
            await self._request.__aexit__(None, None, None)
            raise InputError(text.strip())
        if response.status != 200:
            await self._request.__aexit__(None, None, None)
            raise EdgeyardError(f"the local hub's admin door refused: HTTP {response.status}")
        return response

    async def __aexit__(self, *exc_info: object) -> None:
        await self._request.__aexit__(*exc_info)
