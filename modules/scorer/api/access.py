"""The bearer key that guards scoring."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from iot_core.errors import InputError
from modules.common.http11 import HttpError

__all__ = ["Access", "read_key"]

SCHEME = "bearer "


class Access:
    """Which keys are let in; with none, everybody is. Comparing takes the same time wherever two keys differ."""

    def __init__(self, *keys: str) -> None:
        self._fixed = tuple(key.encode() for key in keys if key)
        self._keys = self._fixed

    def __repr__(self) -> str:
        return f"Access({len(self._keys)} keys)"

    def also(self, key: str | None) -> None:
        """Let in one more key beside those given at the start, in place of the last one given here."""
        self._keys = (*self._fixed, key.encode()) if key else self._fixed

    def check(self, headers: Mapping[str, str]) -> None:
        """HttpError 401 unless "Authorization: Bearer KEY" holds one of the keys."""
        if not self._keys:
            return
        given = headers.get("authorization", "")
        key = given[len(SCHEME) :].strip().encode("latin-1") if given[: len(SCHEME)].lower() == SCHEME else b""
        if not any([hmac.compare_digest(key, known) for known in self._keys]):  # noqa: C419 (all are compared)
            raise HttpError(401, "send Authorization: Bearer KEY with the scorer's key", {"WWW-Authenticate": "Bearer"})


def read_key(path: Path) -> str:
    """The key in a file, as secrets are mounted; InputError when it is not there or empty."""
    try:
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"SCORER_KEY_FILE {path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    if not key:
        raise InputError(f"SCORER_KEY_FILE {path} is empty")
    return key
