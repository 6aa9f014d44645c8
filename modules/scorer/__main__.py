"""`python -m modules.scorer`."""

from __future__ import annotations

from device.process import leave
from modules.scorer.main import main

leave(main())
