"""A heartbeat file for container health checks: `python -m device.health` ends with 0 while the application is well.

The application touches the file named by EDGEYARD_HEALTH_FILE every few seconds while it is connected to its hub;
without the variable nothing is written.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

HEALTH_FILE = "EDGEYARD_HEALTH_FILE"
BEAT_S = 5.0
STALE_S = 60.0  # A reconnect after a restart of the hub may take half a minute; that is not ill.


async def beat(is_well: Callable[[], bool]) -> None:
    """Touch the file every BEAT_S seconds while `is_well`; runs until cancelled, does nothing without the variable."""
    name = os.environ.get(HEALTH_FILE)
    while name:
        if is_well():
            Path(name).touch()  # noqa: ASYNC240 (one system call on a local file)
        await asyncio.sleep(BEAT_S)


def is_fresh(path: Path, now: float) -> bool:
    """True if the file was touched less than STALE_S seconds before `now` (unix seconds)."""
    try:
        return now - path.stat().st_mtime < STALE_S
    except OSError:
        return False


def main() -> int:
    """0 if the application is well, 1 if not."""
    name = os.environ.get(HEALTH_FILE)
    return 0 if name and is_fresh(Path(name), time.time()) else 1


if __name__ == "__main__":
    sys.exit(main())
