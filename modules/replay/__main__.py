"""`python -m modules.replay`."""

from __future__ import annotations

from device.process import leave
from modules.replay.main import main

leave(main())
