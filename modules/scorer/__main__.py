"""`python -m modules.scorer`."""

from __future__ import annotations

import sys

from modules.scorer.main import main

sys.exit(main())
