"""Refusals that only a front gives: what no route serves, what is not built, and what went wrong inside."""

from __future__ import annotations

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error

__all__ = [
    "internal_error",
    "method_not_allowed",
    "not_built",
    "not_found",
    "too_large",
    "too_slow",
    "upgrade_required",
]

LEDGER = "docs/conformance.md"
"""Where a reader finds what this hub does and does not do."""


def not_built(feature: str) -> HubError:
    """501: the service has this, this hub does not (yet)."""
    text = f"{feature}: not built in this local hub. {LEDGER} lists what is."
    return HubError(501000, "NotImplemented", 501, text)


def not_found(path: str) -> HubError:
    """404: the service has no such path either."""
    return HubError(404000, "GenericNotFound", 404, f"No operation has the path {path}.")


def method_not_allowed(verb: str, allowed: tuple[str, ...]) -> HubError:
    """405: the path is known, with other verbs."""
    text = f"{verb} is not allowed here; use {', '.join(allowed)}."
    return HubError(405000, "GenericMethodNotAllowed", 405, text)


def too_large(limit: int) -> HubError:
    """413: the body is larger than ``limit`` bytes."""
    text = f"The body is larger than {limit} bytes."
    return hub_error("MessageTooLarge", text)


def too_slow(limit_s: float) -> HubError:
    """408: the body did not arrive in time."""
    return HubError(408000, "RequestTimeout", 408, f"The body did not arrive within {limit_s:g} seconds.")


def upgrade_required() -> HubError:
    """426: the path speaks WebSocket only."""
    return HubError(426000, "UpgradeRequired", 426, "This path is for WebSockets: send an upgrade request.")


def internal_error() -> HubError:
    """500, without a word on the cause: that goes to the log only."""
    text = "The local hub failed on this request; its log says why."
    return hub_error("ServerError", text)
