"""Refusals that only a front gives: what no route serves, what is not built, and what went wrong inside."""

from __future__ import annotations

from iot_core.errors import HubError

__all__ = ["internal_error", "method_not_allowed", "not_built", "not_found", "too_large"]

LEDGER = "docs/conformance.md"
"""Where a reader finds what this hub does and does not do."""


def not_built(feature: str) -> HubError:
    """501: the service has this, this hub does not (yet)."""
    text = f"{feature}: not built in this local hub. {LEDGER} lists what is."
    return HubError(code=501000, name="NotImplemented", status=501, message=text)


def not_found(path: str) -> HubError:
    """404: the service has no such path either."""
    return HubError(code=404000, name="GenericNotFound", status=404, message=f"No operation has the path {path}.")


def method_not_allowed(verb: str, allowed: tuple[str, ...]) -> HubError:
    """405: the path is known, with other verbs."""
    text = f"{verb} is not allowed here; use {', '.join(allowed)}."
    return HubError(code=405000, name="GenericMethodNotAllowed", status=405, message=text)


def too_large(limit: int) -> HubError:
    """413: the body is larger than ``limit`` bytes."""
    text = f"The body is larger than {limit} bytes."
    return HubError(code=413001, name="MessageTooLarge", status=413, message=text)


def internal_error() -> HubError:
    """500, without a word on the cause: that goes to the log only."""
    text = "The local hub failed on this request; its log says why."
    return HubError(code=500001, name="ServerError", status=500, message=text)
