"""When a call to the hub is made again, and after how long (IoT Hub documentation, "Quotas and throttling").

A call that was throttled (429) has had no effect, so any may be repeated; one that found the hub away (503) may have
had one, so only a call that may be made twice is. The hub says how long to wait by Retry-After (seconds or a date), or
by nothing at all: then pauses grow, together past the ten seconds that its message asks for.
"""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

from hub_tools.replies import Reply, error_of

__all__ = ["PAUSES_S", "pause_before_retry"]

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""One for each time that a call is made again."""
MOST_PAUSE_S = 60.0
"""A hub that asks for more has something else in mind than a busy minute: its refusal is handed on."""
JITTER = 0.2
"""Share by which a pause is stretched or cut, so that calls refused together do not come again together."""
THROTTLED, AWAY = 429, 503
LASTING = frozenset({"ThrottlingMaxActiveJobCountExceeded"})
"""Refusals of status 429 that no pause of seconds ends: a job holds its slot until it has run."""


def pause_before_retry(reply: Reply, attempt: int, *, repeatable: bool) -> float | None:
    """Seconds to wait before the call is made again; None when the reply stands. ``attempt`` counts from 0."""
    again = reply.status == THROTTLED or (reply.status == AWAY and repeatable)
    if not again or attempt >= len(PAUSES_S) or error_of(reply).name in LASTING:
        return None
    asked = _retry_after(reply.header("retry-after"))
    if asked is None:
        return PAUSES_S[attempt] * random.uniform(1 - JITTER, 1 + JITTER)
    return asked if asked <= MOST_PAUSE_S else None


def _retry_after(text: str | None) -> float | None:
    """RFC 9110, section 10.2.3; None for what is neither seconds nor a date."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
