"""What the container must be given before it starts: Eula=accept, Billing=<endpoint>, ApiKey=<key>.

Source: "Install and run Text Analytics containers", section "Run the container": a container without all three does not
start. The stand-in checks that they are there and sends nothing anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from iot_core.errors import InputError

__all__ = ["Licence", "LicenceError", "read_licence"]

NAMES = ("eula", "billing", "apikey")


class LicenceError(InputError):
    """The container may not start; the message never holds the key."""


@dataclass(frozen=True, kw_only=True)
class Licence:
    """The accepted licence; the key stays out of texts."""

    billing: str
    api_key: str = field(repr=False)


def read_licence(arguments: Sequence[str], environment: Mapping[str, str]) -> Licence:
    """The licence from `Name=value` arguments, else from the environment, names in any case; LicenceError."""
    values = {**_named(tuple(environment.items())), **_named([tuple(a.split("=", 1)) for a in arguments if "=" in a])}
    if values.get("eula", "").lower() != "accept":
        raise LicenceError("the licence is not accepted: set Eula=accept")
    return Licence(billing=_billing(values.get("billing", "")), api_key=_api_key(values.get("apikey", "")))


def _named(pairs: Sequence[tuple[str, ...]]) -> dict[str, str]:
    return {pair[0].lower(): pair[1] for pair in pairs if pair[0].lower() in NAMES}


def _billing(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LicenceError("the billing endpoint is missing: set Billing to its URI (https://…)")
    return text


def _api_key(text: str) -> str:
    if not text.strip():
        raise LicenceError("the key is missing: set ApiKey")
    return text
