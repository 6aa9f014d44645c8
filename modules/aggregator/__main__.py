"""`python -m modules.aggregator`."""

from __future__ import annotations

from device.process import leave
from modules.aggregator.main import main

leave(main())
