"""`python -m modules.sentiment_container`."""

from __future__ import annotations

import sys

from modules.sentiment_container.main import main

sys.exit(main())
