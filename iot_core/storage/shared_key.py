"""Requests signed with an account's key: ``Authorization: SharedKey ACCOUNT:SIGNATURE``.

Source: Azure Storage REST reference, "Authorize with Shared Key", the form from version 2015-02-21 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from iot_core.storage.account import StorageAccount
from iot_core.storage.refusals import refused

__all__ = ["SCHEME", "verify_shared_key"]

SCHEME = "SharedKey"

_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def verify_shared_key(
    account: StorageAccount, verb: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    """Returns when the Authorization header is this account's for the request; StorageRefusal AuthenticationFailed.

    ``path`` is as on the wire, ``query`` parsed; names of ``headers`` are lower case. The date is not judged.
    """
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    name, _, signature = credential.strip().partition(":")
    if scheme.lower() != SCHEME.lower() or name != account.name:
        raise refused("AuthenticationFailed", AuthenticationErrorDetail=f"The scheme must be {SCHEME} {account.name}.")
    texts = (_text(account.name, verb, path, query, headers, order) for order in (_plain, _word_sort))
    # All are compared before any is looked at, so that the time does not tell which one matched.
    matches = [account.signed(text, signature) for text in texts]
    if not any(matches):
        raise refused("AuthenticationFailed", AuthenticationErrorDetail="The MAC signature in the request is wrong.")


def _text(
    account: str,
    verb: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    order: Callable[[str], tuple[str, int]],
) -> str:
    values = {
        **headers,
        "content-length": "" if headers.get("content-length") == "0" else headers.get("content-length", ""),
    }
    lines: Iterable[str] = (
        verb,
        *(values.get(name, "") for name in _SIGNED),
        *(f"{name}:{headers[name].strip()}" for name in sorted(filter(_is_ours, headers), key=order)),
        f"/{account}{path}",
        *(f"{name}:{query[name]}" for name in sorted(query)),
    )
    return "\n".join(lines)


def _is_ours(name: str) -> bool:
    return name.startswith("x-ms-")


def _plain(name: str) -> tuple[str, int]:
    return name, 0


def _word_sort(name: str) -> tuple[str, int]:
    """The order of the service's own libraries: hyphens count only between names that are otherwise the same."""
    return name.replace("-", "").replace("_", " "), name.count("-")
