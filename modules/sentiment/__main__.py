"""`python -m modules.sentiment`."""

from __future__ import annotations

from device.process import leave
from modules.sentiment.main import main

leave(main())
