"""`python -m modules.sentiment`."""

from __future__ import annotations

import sys

from modules.sentiment.main import main

sys.exit(main())
