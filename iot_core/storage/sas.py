"""Shared access signatures of the blob service: made for devices, and verified.

A service SAS grants a blob or a container, an account SAS a kind of resource; both are signed with the account's key.
Source: Azure Storage REST reference, "Create a service SAS" and "Create an account SAS"; the fields that are signed
differ by the version in ``sv``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import quote

from iot_core.clock import iso
from iot_core.storage.account import StorageAccount
from iot_core.storage.needs import Level, Need
from iot_core.storage.refusals import StorageRefusal, refused

__all__ = ["OVERRIDES", "Resource", "Signature", "blob_sas", "read_signature"]

VERSION = "2018-03-28"
"""The version of the signatures that IoT Hub hands to devices (developer guide, "Upload files with IoT Hub")."""

OLDEST = "2015-04-05"
_WITH_SNAPSHOT = "2018-11-09"
_WITH_SCOPE = "2020-12-06"
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

OVERRIDES: Mapping[str, str] = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}
"""Fields of a service SAS → the headers of a reply that they set; signed in this order."""

_NOT_BUILT = {
    "si": "stored access policies",
    "skoid": "user delegation signatures",
    "snapshot": "snapshots",
    "versionid": "blob versions",
}
_RESOURCES = {"bs": "snapshots", "bv": "blob versions", "d": "directories"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """What a request is on; ``blob`` is empty for a container, both are for the account."""

    container: str = ""
    blob: str = ""

    def canonical(self, account: str, kind: str) -> str:
        """How a service SAS for the blob (``kind`` "b") or its container ("c") names it."""
        return f"/blob/{account}/{self.container}" + (f"/{self.blob}" if kind == "b" else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The shared access signature in a query, not judged yet."""

    fields: Mapping[str, str]

    @property
    def overrides(self) -> dict[str, str]:
        """Headers that it sets in replies."""
        return {header: self.fields[name] for name, header in OVERRIDES.items() if self.fields.get(name)}

    @property
    def permissions(self) -> str:
        return self.fields.get("sp", "")

    def verify(self, account: StorageAccount, resource: Resource, need: Need, *, now: float, peer: str | None) -> None:
        """Returns when it is signed with the account's key, holds now and grants ``need`` on ``resource``.

        ``peer`` is the client's address. StorageRefusal otherwise; nothing but a right signature says more than that
        it is wrong.
        """
        self._check_form()
        if self._is_account_sas:
            self._check_signed(account, self._account_text(account.name))
        else:
            self._check_signed(account, self.service_text(account.name, resource))
        self._check_time(now)
        self._check_peer(peer)
        self._check_grant(resource, need)

    def service_text(self, account: str, resource: Resource) -> str:
        """What a service SAS for a blob, or for its container, signs."""
        version, kind = self.fields["sv"], self.fields["sr"]
        text = [
            self.permissions,
            self._of("st"),
            self._of("se"),
            resource.canonical(account, kind),
            "",
            self._of("sip"),
        ]
        text += [self._of("spr"), version]
        if version >= _WITH_SNAPSHOT:
            text += [kind, ""]
        if version >= _WITH_SCOPE:
            text.append(self._of("ses"))
        return "\n".join([*text, *(self._of(name) for name in OVERRIDES)])

    @property
    def _is_account_sas(self) -> bool:
        return "ss" in self.fields or "srt" in self.fields

    def _check_form(self) -> None:
        version = self.fields.get("sv", "")
        if _VERSION.fullmatch(version) is None or version < OLDEST:
            _fail(f"sv must be a version from {OLDEST} on.")
        for name, feature in _NOT_BUILT.items():
            if name in self.fields:
                raise _not_built(feature)
        missing = [name for name in ("se", "sp", "sig") if not self.fields.get(name)]
        if missing:
            _fail(f"{missing[0]} is mandatory and cannot be empty.")
        kind = self.fields.get("sr", "")
        if kind in _RESOURCES:
            raise _not_built(f"signatures for {_RESOURCES[kind]}")
        if not self._is_account_sas and kind not in ("b", "c"):
            _fail("sr must be b or c.")

    def _check_signed(self, account: StorageAccount, text: str) -> None:
        if not account.signed(text, self.fields["sig"]):
            _fail("Signature did not match: another account, container, blob or key, or a field that was changed.")

    def _check_time(self, now: float) -> None:
        start = _time("st", self.fields["st"]) if self.fields.get("st") else now
        expiry = _time("se", self.fields["se"])
        if not start <= now < expiry:
            span = f"Start [{self.fields.get('st', '')}] - Expiry [{self.fields['se']}] - Current [{iso(now)}]"
            _fail(f"Signature not valid in the specified time frame: {span}")

    def _check_peer(self, peer: str | None) -> None:
        allowed = self.fields.get("sip")
        if not allowed:
            return
        first, _, last = allowed.partition("-")
        if not _within(peer or "", first, last or first):
            raise refused("AuthorizationSourceIPMismatch")

    def _check_grant(self, resource: Resource, need: Need) -> None:
        if self._is_account_sas:
            if "b" not in self.fields.get("ss", ""):
                raise refused("AuthorizationServiceMismatch")
            if need.level.value not in self.fields.get("srt", ""):
                raise refused("AuthorizationResourceTypeMismatch")
        elif not need.delegated:
            raise refused("AuthorizationFailure")
        elif need.level is Level.CONTAINER and self.fields["sr"] != "c":
            raise refused("AuthorizationPermissionMismatch")
        if not set(need.letters) & set(self.permissions):
            raise refused("AuthorizationPermissionMismatch")

    def _account_text(self, account: str) -> str:
        names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
        if self.fields["sv"] >= _WITH_SCOPE:
            names.append("ses")
        return "\n".join([account, *(self._of(name) for name in names), ""])

    def _of(self, name: str) -> str:
        return self.fields.get(name, "")


def read_signature(query: Mapping[str, str]) -> Signature | None:
    """The signature in a parsed query; None when there is none."""
    return Signature(fields=query) if "sig" in query else None


def blob_sas(account: StorageAccount, container: str, blob: str, permissions: str, expires: float) -> str:
    """A service SAS for one blob until ``expires`` (unix seconds, whole ones), as the query of its address, with "?".

    ``permissions`` are letters in the order of the documentation, such as "rw".
    """
    fields = {"sv": VERSION, "sr": "b", "se": f"{iso(expires)[:19]}Z", "sp": permissions}
    text = Signature(fields=fields).service_text(account.name, Resource(container=container, blob=blob))
    signed = {"sv": VERSION, "sr": "b", "sig": account.signature(text), "se": fields["se"], "sp": permissions}
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in signed.items())


def _time(name: str, text: str) -> float:
    """Unix seconds; dates without a time and times without seconds are allowed here."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _fail(f"{name} is not a valid ISO 8601 time.")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _within(address: str, first: str, last: str) -> bool:
    """Whether an IPv4 address lies in a range of such; the service knows no others here."""
    try:
        found, low, high = (ipaddress.IPv4Address(text) for text in (address, first, last))
    except ValueError:
        return False
    return low <= found <= high


def _fail(detail: str) -> NoReturn:
    raise refused("AuthenticationFailed", AuthenticationErrorDetail=detail)


def _not_built(feature: str) -> StorageRefusal:
    return refused("NotImplemented", f"{feature}: not built in this local hub.")
