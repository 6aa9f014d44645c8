"""How often configurations are evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from iot_core.limits import CONFIGURATION_INTERVAL_S

__all__ = ["Cadence"]


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """``immediate``: every change takes effect at once, beside the passes over all devices every ``interval_s`` seconds
    of the hub's clock. Otherwise in the passes only, as in the real service, and only they measure metrics.
    """

    immediate: bool = True
    interval_s: float = CONFIGURATION_INTERVAL_S
