"""`python -m modules.replay`."""

from __future__ import annotations

import sys

from modules.replay.main import main

sys.exit(main())
