"""`python -m modules.sentiment_container`."""

from __future__ import annotations

from device.process import leave
from modules.sentiment_container.main import main

leave(main())
