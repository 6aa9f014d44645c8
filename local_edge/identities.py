"""Module identities in the hub's registry, kept with the edge device's own credential as the IoT Edge daemon does.

REST: IoT Hub, "Modules - Create Or Update Identity" and its siblings under /devices/{device}/modules. The key of every
module is made here and set by PUT; an identity that IoT Edge manages is removed when the deployment no longer names it.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import quote

import aiohttp
import yarl

from iot_core import sas
from iot_core.clock import Clock
from local_edge.config import EdgeConfig
from local_edge.errors import RegistryRefusedError, UpstreamError
from local_edge.keys import KeyStore, ModuleKey

__all__ = ["Identities", "RegistryClient"]

API_VERSION = "2021-04-12"
MANAGED_BY = "IotEdge"
CALL_TIMEOUT_S = 30
TOKEN_LIFETIME_S = 600
"""Seconds; every call signs anew, so that a short life costs nothing."""

_log = logging.getLogger(__name__)


class RegistryClient:
    """The registry calls of one edge device.

    Every call raises UpstreamError when trying later may help, RegistryRefusedError when it will not.
    """

    def __init__(self, config: EdgeConfig, clock: Clock, tls: ssl.SSLContext) -> None:
        self._config = config
        self._clock = clock
        self._tls = tls
        self._base = f"https://{config.hub_https_authority}/devices/{quote(config.device_id, safe='')}/modules"

    async def list(self) -> list[dict[str, Any]]:
        answer = await self._call("GET", self._base)
        return list(answer)

    async def put(self, module: str, key: str, etag: str | None) -> dict[str, Any]:
        """Create the identity (etag None) or replace it where it has `etag`; the identity as the hub keeps it."""
        body = {
            "deviceId": self._config.device_id,
            "moduleId": module,
            "managedBy": MANAGED_BY,
            "authentication": {"type": "sas", "symmetricKey": {"primaryKey": key, "secondaryKey": key}},
        }
        headers = {"If-Match": f'"{etag}"'} if etag else {}
        return dict(await self._call("PUT", self._url(module), body=body, headers=headers))

    async def delete(self, module: str) -> None:
        await self._call("DELETE", self._url(module), headers={"If-Match": "*"})

    def _url(self, module: str) -> str:
        return f"{self._base}/{quote(module, safe='')}"

    def _token(self) -> str:
        resource = self._config.identity().resource(self._config.hub_host)
        return sas.sign(resource, self._config.device_key, int(self._clock.now()) + TOKEN_LIFETIME_S)

    async def _call(
        self, method: str, url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        sent = {"Authorization": self._token(), **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(
                    method, _raw(url), params={"api-version": API_VERSION}, json=body, headers=sent, ssl=self._tls
                ) as response,
            ):
                return await _answer(method, url, response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UpstreamError(f"the registry of {self._config.hub_host} cannot be reached: {error}") from None


class Identities:
    """Keeps the registry, the key file and a set of wanted names in step."""

    def __init__(self, client: RegistryClient, keys: KeyStore) -> None:
        self._client = client
        self._keys = keys

    def known(self, wanted: Collection[str]) -> bool:
        """True when every wanted module has a key here already, so that the edge can work while the hub is away."""
        return all(self._keys.get(name) for name in wanted)

    async def ensure(self, wanted: Collection[str]) -> list[dict[str, Any]]:
        """Create and update identities so that `wanted` exist with our keys; all that exist."""
        listed = await self._client.list()
        present = {entry["moduleId"]: entry for entry in listed}
        for name in sorted(wanted):
            await self._ensure(name, present.get(name))
        return listed

    async def sync(self, wanted: Collection[str], keep: Collection[str] = ()) -> list[str]:
        """As `ensure`, and remove those no longer wanted, but for `keep`; the names of those removed."""
        obsolete = _obsolete(await self.ensure(wanted), {*wanted, *keep})
        for name in obsolete:
            _log.info("module identity %s is no longer in the deployment: removed", name)
            await self._client.delete(name)
            self._keys.remove(name)
        return obsolete

    async def _ensure(self, name: str, entry: dict[str, Any] | None) -> None:
        key = self._keys.key_for(name)
        if entry is None or _primary_key(entry) != key:
            entry = await self._client.put(name, key, entry.get("etag") if entry else None)
        self._keys.put(name, ModuleKey(key=key, generation_id=str(entry.get("generationId", ""))))


def _obsolete(present: Iterable[dict[str, Any]], wanted: Collection[str]) -> list[str]:
    return sorted(
        entry["moduleId"]
        for entry in present
        if entry["moduleId"] not in wanted
        and not entry["moduleId"].startswith("$")
        and str(entry.get("managedBy") or "").lower() == MANAGED_BY.lower()
    )


def _primary_key(entry: dict[str, Any]) -> str | None:
    keys = (entry.get("authentication") or {}).get("symmetricKey") or {}
    value = keys.get("primaryKey")
    return value if isinstance(value, str) else None


async def _answer(method: str, url: str, response: aiohttp.ClientResponse) -> Any:
    if response.status in (200, 201):
        return await response.json(content_type=None)
    if response.status == 204 or (method == "DELETE" and response.status == 404):
        return None
    text = (await response.text())[:300]
    what = f"{method} {url} was answered {response.status} {text}"
    # 409 and 412: someone else wrote this identity between our look and our write; the next look sees it.
    if response.status in (408, 409, 412, 429) or response.status >= 500:
        raise UpstreamError(what)
    raise RegistryRefusedError(what)


def _raw(url: str) -> yarl.URL:
    # Module names such as $edgeHub arrive encoded and must not be encoded, or decoded, again.
    return yarl.URL(url, encoded=True)
