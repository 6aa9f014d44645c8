"""If-Match, as the registry and the twins read it (REST reference; what the service does beyond it was observed
live).
"""

from __future__ import annotations

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error

__all__ = ["ANY", "check_etag", "precondition_failed", "wanted_etag"]

ANY = "*"


def wanted_etag(if_match: str | None) -> str | None:
    """The etag of an If-Match header without its quotes; ``*`` may come in quotes too. None when there is no header."""
    if if_match is None:
        return None
    return if_match.strip().removeprefix("W/").strip('"') or None


def check_etag(wanted: str | None, current: str) -> None:
    """HubError PreconditionFailed unless ``wanted`` is None, ``*`` or the current etag."""
    if wanted not in (None, ANY, current):
        raise precondition_failed()


def precondition_failed() -> HubError:
    """412, in the service's words."""
    return hub_error("PreconditionFailed", "PreconditionFailed, ETag may be invalid.")
