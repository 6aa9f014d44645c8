"""``--like-azure S2:10``: a hub that is as slow as a real one of that tier with so many units.

Rates, the daily quota and the limits on jobs hold, queries lag behind and configurations are evaluated every five
minutes of the hub's clock. Programs that pass their tests so are ready for the real service.
"""

from __future__ import annotations

import re
from dataclasses import replace

from iot_core.errors import InputError
from iot_core.limits import TIERS
from local_hub.config import HubConfig
from local_hub.queries.lag import INDEX_LAG_S

__all__ = ["LIKE_AZURE_VARIABLE", "like_azure"]

LIKE_AZURE_VARIABLE = "EDGEYARD_LIKE_AZURE"
"""Environment variable that stands for the option: test suites run again with it."""

_FORM = re.compile(r"([A-Za-z]\d)(?::(\d{1,4}))?")


def like_azure(config: HubConfig, text: str) -> HubConfig:
    """The configuration with what ``text``, "TIER" or "TIER:UNITS", asks for; InputError."""
    match = _FORM.fullmatch(text)
    tier = match[1].upper() if match else ""
    if match is None or tier not in TIERS:
        what = f"tier {tier!r} is not built" if tier in ("B1", "B2", "B3") else f"{text[:40]!r} is no tier with units"
        raise InputError(f"--like-azure: {what}: use one of {', '.join(TIERS)}, and units as in S2:10")
    units, most = int(match[2] or 1), TIERS[tier].most_units
    if not 1 <= units <= most:
        raise InputError(f"--like-azure: a hub of tier {tier} has 1 to {most} units, not {units}")
    return replace(
        config,
        tier=tier,
        units=units,
        throttle=True,
        query_lag_s=INDEX_LAG_S,
        cadence=replace(config.cadence, immediate=False),
    )
