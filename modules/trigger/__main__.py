"""`python -m modules.trigger`."""

from __future__ import annotations

from device.process import leave
from modules.trigger.main import main

leave(main())
