"""The kernel: what IoT Hub and IoT Edge mean, with no sockets, no files and no clock of its own.

Every other package stands on this one and it imports none of them. Import from the modules, for example
``from iot_core.sas import sign``.
"""

from __future__ import annotations
