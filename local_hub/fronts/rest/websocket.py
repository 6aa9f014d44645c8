"""The WebSocket paths for clients that ask there without an upgrade; upgrades never get this far."""

from __future__ import annotations

from typing import NoReturn

from local_hub.fronts import refusals
from local_hub.fronts.rest.call import Call

__all__: list[str] = []


async def upgrade(_call: Call) -> NoReturn:
    """Always refused, with 426."""
    raise refusals.upgrade_required()
