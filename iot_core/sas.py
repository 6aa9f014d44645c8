"""Shared access signatures: made, read and verified.

    SharedAccessSignature sr=<resource>&sig=<signature>&se=<unix seconds>[&skn=<policy>]

The fields come in any order. What is signed is the text of `sr` as it was received, a line feed, and the text of `se`:
clients differ in how they percent-encode, so nothing is encoded again before verifying.
Source: IoT Hub documentation, "Control access with shared access signatures".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from iot_core.connection_string import ConnectionString
from iot_core.errors import IdentityError, SasError, SasReason
from iot_core.identity import decode_key

__all__ = ["MAX_CLOCK_SKEW_S", "SasToken", "covers", "parse", "sign", "token_for", "verify", "without_secrets"]

MAX_CLOCK_SKEW_S = 300
"""A token is still taken for this long after it expired; the Azure SDKs allow clocks to differ by 5 minutes."""
DEFAULT_TTL_S = 3600
"""Life of a token, as the device SDKs make them."""
MAX_TOKEN_LENGTH = 4096
"""Characters; a token for the longest ids, all percent-encoded, stays under 1,100."""

_TOKEN = re.compile(r"SharedAccessSignature\s+(\S+)\s*", re.ASCII | re.IGNORECASE)
_EXPIRY = re.compile(r"\d{1,12}", re.ASCII)
_FIELDS = frozenset({"sr", "sig", "se", "skn"})
_SECRET = re.compile(r"\b(sig|SharedAccessKey)=[^&;\s'\"]+", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SasToken:
    """A token as read: `resource` decoded, `expiry` in unix seconds, `signed_text` what the signature is over."""

    resource: str
    signature: str = field(repr=False)
    expiry: int
    policy: str | None
    signed_text: str


def sign(resource: str, key_b64: str, expiry: int, policy: str | None = None) -> str:
    """A token for `resource` ("host/devices/d") until `expiry` (unix seconds), with `policy` for a policy's key.

    Raises SasError when the key is not base64.
    """
    encoded = quote(resource, safe="")
    signature = quote(_signature(f"{encoded}\n{expiry}", key_b64), safe="")
    token = f"SharedAccessSignature sr={encoded}&sig={signature}&se={expiry}"
    return token if policy is None else f"{token}&skn={quote(policy, safe='')}"


def without_secrets(text: str) -> str:
    """Text from a client, fit for a log: a token or connection string in it, misplaced, loses its signature or key."""
    return _SECRET.sub(r"\1=…", text)


def parse(token: str) -> SasToken:
    """Reads a token without judging it; raises SasError (malformed)."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise _malformed(f"longer than {MAX_TOKEN_LENGTH} characters")
    match = _TOKEN.fullmatch(token)
    if match is None or not token.isascii():
        raise _malformed("it must be the word SharedAccessSignature, a space, and sr, sig and se joined by &")
    fields = _fields(match[1])
    missing = [name for name in ("sr", "sig", "se") if not fields.get(name)]
    if missing:
        raise _malformed(f"{missing[0]} is missing")
    if _EXPIRY.fullmatch(fields["se"]) is None:
        raise _malformed("se must be whole unix seconds")
    return SasToken(
        resource=unquote(fields["sr"]),
        signature=unquote(fields["sig"]),
        expiry=int(fields["se"]),
        policy=unquote(fields["skn"]) if fields.get("skn") else None,
        signed_text=f"{fields['sr']}\n{fields['se']}",
    )


def verify(token: SasToken, *, resource: str, keys: Iterable[str], now: float) -> None:
    """Returns when one of `keys` signed the token, it has not expired at `now` and it covers `resource`.

    Raises SasError with the first reason that holds of: wrong signature, expired, resource not covered.
    """
    given = token.signature.encode("utf-8")
    # A list, not a generator: every key is tried, so that the time does not tell which one matched.
    matches = [hmac.compare_digest(given, _signature(token.signed_text, key).encode("ascii")) for key in keys]
    if not any(matches):
        raise SasError(SasReason.WRONG_SIGNATURE, f"the token for {token.resource[:200]!r} is not signed with its key")
    if token.expiry + MAX_CLOCK_SKEW_S < now:
        late = int(now - token.expiry)
        raise SasError(
            SasReason.EXPIRED, f"the token for {token.resource[:200]!r} expired {late} s ago: make a new one"
        )
    if not covers(token.resource, resource):
        raise SasError(SasReason.RESOURCE, f"a token for {token.resource[:200]!r} does not cover {resource[:200]!r}")


def covers(token_resource: str, request_resource: str) -> bool:
    """Whether a token reaches a resource: it is a prefix by whole segments, "a/b" of "a/b/c" but not of "a/bc".

    Both are decoded texts; the host, which is the first segment, is compared without regard to case.
    """
    granted = token_resource.rstrip("/").split("/")
    asked = request_resource.rstrip("/").split("/")
    if not granted[0] or granted[0].lower() != asked[0].lower():
        return False
    return granted[1:] == asked[1 : len(granted)]


def token_for(connection_string: ConnectionString, now: float, ttl_s: int = DEFAULT_TTL_S) -> str:
    """A token as the SDKs make it: for the device or module, or for the whole hub with a policy's name.

    Raises SasError when the connection string has no key (X.509).
    """
    key = connection_string.shared_access_key
    if key is None:
        raise _malformed("a connection string with x509=true has no key to sign with: present the certificate")
    identity, host = connection_string.identity, connection_string.host_name
    resource = host if identity is None else identity.resource(host)
    return sign(resource, key, int(now) + ttl_s, connection_string.shared_access_key_name)


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split("&"):
        name, _, value = part.partition("=")
        name = name.lower()
        if fields.get(name, value) != value:
            raise _malformed(f"{name[:8]!r} is given twice")
        if name in _FIELDS:
            fields[name] = value
    return fields


def _signature(text: str, key_b64: str) -> str:
    try:
        key = decode_key(key_b64)
    except IdentityError as error:
        raise _malformed(str(error)) from None
    return base64.b64encode(hmac.digest(key, text.encode("utf-8"), hashlib.sha256)).decode("ascii")


def _malformed(what: str) -> SasError:
    return SasError(SasReason.MALFORMED, f"shared access signature: {what}")
