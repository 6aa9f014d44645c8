"""How much memory this process holds."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

MEBIBYTE = 2**20
STATM = Path("/proc/self/statm")
RESIDENT_FIELD = 1  # proc(5): size, resident, shared … in pages.


def resident_mebibytes() -> int:
    """Resident set of the process in whole MiB: the present one on Linux, the highest so far elsewhere."""
    if STATM.exists():
        pages = int(STATM.read_text("ascii").split()[RESIDENT_FIELD])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / MEBIBYTE if sys.platform == "darwin" else peak / 1024)
