"""Errors of deliveries.

EdgeyardError
└── DeliveryError             an action was not carried out
    ├── DeliveryFailedError   it may work later
    └── DeliveryRefusedError  trying again does not help
"""

from __future__ import annotations

from iot_core.errors import EdgeyardError

__all__ = ["DeliveryError", "DeliveryFailedError", "DeliveryRefusedError"]


class DeliveryError(EdgeyardError):
    """An action was not carried out."""


class DeliveryFailedError(DeliveryError):
    """It may work later: in `retry_after_s` seconds, where the target said so. `counts` is False where the target had
    no part in it, because this module itself was cut off."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, counts: bool = True) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.counts = counts


class DeliveryRefusedError(DeliveryError):
    """Trying again does not help."""
