"""Asking a container registry for what it holds.

Source: OCI distribution specification 1.1, "Pull"; Docker registry token authentication ("Token Authentication
Specification"), which every registry in use follows.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from hub_tools.manifests import RegistryCredential
from hub_tools.registries.reference import DEFAULT_REGISTRY, ImageReference
from iot_core.errors import EdgeyardError

__all__ = ["Registry", "RegistryRefusedError", "RegistryUnreachableError"]

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join(INDEXES + MANIFESTS)
MAX_BYTES = 4 * 1024 * 1024
"""The size of a manifest that registries have to take ("Pushing manifests"); more is not read."""
TIMEOUT_S = 15.0
HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_PARAMETER = re.compile(r'([A-Za-z]+)="([^"]*)"')


class RegistryUnreachableError(EdgeyardError):
    """The registry could not be asked: no connection, no sound answer, or it is overloaded."""


class RegistryRefusedError(EdgeyardError):
    """The registry does not let these credentials (or nobody without any) look at the image."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise RegistryUnreachableError("its answer is not a JSON object")
        return value


class Registry:
    """One registry, over a session of the caller's. `credential` is what devices log in with."""

    def __init__(self, host: str, session: aiohttp.ClientSession, credential: RegistryCredential | None = None) -> None:
        self._base = _base_url(host)
        self._session = session
        self._login = _basic(credential) if credential else None
        self._authorization: dict[str, str] = {}

    async def platforms(self, image: ImageReference) -> frozenset[str] | None:
        """The platforms ("linux/arm64", "linux/arm/v7") that an image is there for; None when there is no such image.

        Raises RegistryRefusedError and RegistryUnreachableError.
        """
        answer = await self._get(image, f"manifests/{image.reference}", ACCEPT)
        if answer is None:
            return None
        document = answer.json()
        if isinstance(found := document.get("manifests"), list):
            named = (item.get("platform") for item in found if isinstance(item, dict))
            return frozenset(_platform(item) for item in named if isinstance(item, dict))
        config = document.get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        blob = await self._get(image, f"blobs/{digest}", "*/*") if isinstance(digest, str) else None
        return frozenset({_platform(blob.json())} if blob is not None else ())

    async def _get(self, image: ImageReference, path: str, accept: str) -> _Answer | None:
        """The answer to GET, after a login if the registry wants one; None for 404."""
        url = self._base / "v2" / image.repository / path
        authorization = self._authorization.get(image.repository)
        answer = await self._call(url, accept, authorization)
        if answer.status == 401:
            authorization = await self._log_in(answer, image.repository)
            self._authorization[image.repository] = authorization
            answer = await self._call(url, accept, authorization)
        if answer.status in (401, 403):
            raise RegistryRefusedError(f"it answers {answer.status}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise RegistryUnreachableError(f"it answers {answer.status}")
        return answer

    async def _log_in(self, refusal: _Answer, repository: str) -> str:
        """The Authorization header that the challenge asks for."""
        scheme, _, text = refusal.headers.get("WWW-Authenticate", "").partition(" ")
        parameters = dict(_PARAMETER.findall(text))
        if scheme.lower() == "basic" and self._login is not None:
            return self._login
        if scheme.lower() != "bearer" or "realm" not in parameters:
            raise RegistryRefusedError("it answers 401")
        return f"Bearer {await self._token(parameters, repository)}"

    async def _token(self, parameters: Mapping[str, str], repository: str) -> str:
        realm = URL(parameters["realm"])
        asked = {"scope": parameters.get("scope", f"repository:{repository}:pull")}
        if "service" in parameters:
            asked["service"] = parameters["service"]
        # A realm is the registry's word: a password goes only where nobody can listen.
        login = self._login if realm.scheme == "https" or _is_loopback(realm.host or "") else None
        answer = await self._call(realm.update_query(asked), "application/json", login)
        if answer.status in (400, 401, 403):
            raise RegistryRefusedError(f"{realm.host} gives no token ({answer.status})")
        if answer.status != 200:
            raise RegistryUnreachableError(f"{realm.host}, which gives its tokens, answers {answer.status}")
        document = answer.json()
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise RegistryUnreachableError(f"{realm.host} gives no token")
        return token

    async def _call(self, url: URL, accept: str, authorization: str | None) -> _Answer:
        headers = {"Accept": accept, **({"Authorization": authorization} if authorization else {})}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.get(url, headers=headers, timeout=timeout) as response:
                body = await response.content.read(MAX_BYTES)
                while not response.content.at_eof() and len(body) < MAX_BYTES:
                    body += await response.content.read(MAX_BYTES - len(body))
                return _Answer(response.status, response.headers, body)
        except TimeoutError:
            raise RegistryUnreachableError(f"{url.host} does not answer within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise RegistryUnreachableError(f"{url.host} cannot be reached ({_reason(error)})") from None


def _basic(credential: RegistryCredential) -> str:
    """The header of HTTP basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


def _platform(document: Mapping[str, Any]) -> str:
    """ "linux/arm/v7" of an object with os, architecture and variant; v8 is what every arm64 is."""
    parts = [document.get("os"), document.get("architecture"), document.get("variant")]
    if parts[1:] == ["arm64", "v8"]:
        parts.pop()
    return "/".join(str(part) for part in parts if part)


def _base_url(host: str) -> URL:
    scheme = "http" if _is_loopback(URL(f"//{host}").host or "") else "https"
    return URL(f"{scheme}://{HOSTS.get(host, host)}")


def _is_loopback(host: str) -> bool:
    """Where engines speak HTTP without being told to ("Test an insecure registry", Docker)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None)
    return (cause.strerror if isinstance(cause, OSError) else None) or type(error).__name__
