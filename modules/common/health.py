"""Health check of a container: `python -m modules.common.health URL` ends with 0 if the URL answers 200."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 3.0  # under the 5 s that the HEALTHCHECK lines allow, with the interpreter's own start


def main(url: str) -> int:
    """0 if `url` answers 200 in time, 1 if not."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            return 0 if response.status == 200 else 1
    except (urllib.error.URLError, TimeoutError, OSError):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
