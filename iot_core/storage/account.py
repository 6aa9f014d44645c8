"""A storage account: its name, its key and where its blob service is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from iot_core.errors import ConnectionStringError, IdentityError
from iot_core.identity import decode_key

__all__ = ["EMULATOR", "StorageAccount"]

MAX_LENGTH = 4096
"""Characters of a connection string; a real one stays under 400."""

EMULATOR = "UseDevelopmentStorage=true"
"""The short form of the connection string of Azurite, whose name and key are published ("Use the Azurite emulator")."""
_EMULATOR_NAME = "devstoreaccount1"
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_ENDPOINT = f"http://127.0.0.1:10000/{_EMULATOR_NAME}"

_NAME = re.compile(r"[a-z0-9\-]{3,24}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageAccount:
    """``blob_endpoint`` is a URL without a trailing slash; it ends in ``/name`` where accounts are in the path."""

    name: str
    key: str = field(repr=False)
    blob_endpoint: str

    @classmethod
    def parse(cls, text: str) -> StorageAccount:
        """Reads "AccountName=…;AccountKey=…" with BlobEndpoint or EndpointSuffix (Azure Storage documentation,
        "Configure Azure Storage connection strings"); ConnectionStringError.
        """
        if len(text) > MAX_LENGTH:
            raise _wrong(f"longer than {MAX_LENGTH} characters")
        values = _split(text)
        if values.get("usedevelopmentstorage", "").lower() == "true":
            return cls(name=_EMULATOR_NAME, key=_EMULATOR_KEY, blob_endpoint=_EMULATOR_ENDPOINT)
        name, key = values.get("accountname", ""), values.get("accountkey", "")
        if _NAME.fullmatch(name) is None:
            raise _wrong("AccountName is missing or no account name")
        _check_key(key)
        return cls(name=name, key=key, blob_endpoint=_endpoint(values, name))

    @property
    def host_name(self) -> str:
        """What comes between ``https://`` and ``/container`` in the address of a blob."""
        return self.blob_endpoint.partition("://")[2]

    def url(self, path: str) -> str:
        """The address of "container/blob", which must be percent-encoded."""
        return f"{self.blob_endpoint}/{path}"

    def signature(self, text: str) -> str:
        """HMAC-SHA256 with the key, base64."""
        digest = hmac.digest(decode_key(self.key), text.encode("utf-8"), hashlib.sha256)
        return base64.b64encode(digest).decode("ascii")

    def signed(self, text: str, signature: str) -> bool:
        """Whether ``signature`` is the one of ``text``; the time it takes does not tell how much of it was right."""
        return hmac.compare_digest(self.signature(text).encode("ascii"), signature.encode("utf-8"))

    def __str__(self) -> str:
        scheme = self.blob_endpoint.partition("://")[0]
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={self.name};AccountKey={self.key};"
            f"BlobEndpoint={self.blob_endpoint}"
        )


def _split(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not equals:
            raise _wrong("a part has no '='")
        values[name.strip().lower()] = value.strip()
    return values


def _check_key(key: str) -> None:
    if not key:
        raise _wrong("AccountKey is missing (a shared access signature cannot sign others)")
    try:
        decode_key(key)
    except IdentityError:
        raise _wrong("AccountKey is not base64") from None


def _endpoint(values: dict[str, str], name: str) -> str:
    scheme = values.get("defaultendpointsprotocol", "https").lower()
    suffix = values.get("endpointsuffix", "core.windows.net")
    endpoint = values.get("blobendpoint", f"{scheme}://{name}.blob.{suffix}").rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise _wrong("BlobEndpoint is not an http or https address")
    return endpoint


def _wrong(what: str) -> ConnectionStringError:
    return ConnectionStringError(
        f"storage connection string: {what}: use 'DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…'"
    )
