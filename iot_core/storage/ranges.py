"""Which bytes of a blob a request asks for (Azure Storage REST reference, "Specify the range header")."""

from __future__ import annotations

import re

from iot_core.storage.refusals import refused

__all__ = ["requested"]

_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})", re.ASCII)


def requested(text: str | None, size: int) -> range | None:
    """The offsets that a Range (or x-ms-range) header asks for; None: the whole.

    A header of another form is passed over, as the service does. StorageRefusal InvalidRange when none of it is there.
    """
    match = _RANGE.fullmatch((text or "").strip())
    if match is None:
        return None
    first = int(match[1])
    last = min(int(match[2] or size), size - 1)
    if match[2] and int(match[2]) < first:
        return None
    if first >= size:
        raise refused("InvalidRange")
    return range(first, last + 1)
