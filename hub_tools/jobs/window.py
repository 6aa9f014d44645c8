"""The hours of a day in which a job may write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hub_tools.service import Json
from iot_core.errors import InputError

__all__ = ["Window"]

_FORM = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")


@dataclass(frozen=True, kw_only=True)
class Window:
    """From `opens` to `closes`, wall-clock times of a zone; over midnight when it closes before it opens."""

    opens: time
    closes: time
    zone: str

    @classmethod
    def parse(cls, between: str, zone: str) -> Window:
        """`("02:00-05:00", "Europe/Berlin")`; InputError."""
        match = _FORM.fullmatch(between.strip())
        try:
            if match is None:
                raise ValueError("write 02:00-05:00")
            window = cls(opens=time.fromisoformat(match[1]), closes=time.fromisoformat(match[2]), zone=zone)
            ZoneInfo(zone)
        except (ValueError, KeyError, OSError) as error:
            raise InputError(f"--between {between} --tz {zone}: {error}") from None
        if window.opens == window.closes:
            raise InputError(f"--between {between} is no time at all: leave it out for the whole day")
        return window

    def wait_s(self, now: float) -> float:
        """Seconds until the window is open; 0.0 while it is. A time that the zone skips counts as the one after it."""
        return 0.0 if self._is_open(now) else self._until(self.opens, now)

    def left_s(self, now: float) -> float:
        """Seconds until the window closes; 0.0 while it is closed."""
        return self._until(self.closes, now) if self._is_open(now) else 0.0

    def to_json(self) -> Json:
        """`{"between", "zone"}`."""
        return {"between": f"{self.opens:%H:%M}-{self.closes:%H:%M}", "zone": self.zone}

    def _until(self, wall: time, now: float) -> float:
        here = datetime.fromtimestamp(now, ZoneInfo(self.zone))
        moments = (datetime.combine(here.date() + timedelta(days=day), wall, here.tzinfo) for day in (0, 1))
        return min(at for at in ((moment.astimezone(UTC).timestamp() - now) for moment in moments) if at > 0)

    def _is_open(self, now: float) -> bool:
        at = datetime.fromtimestamp(now, ZoneInfo(self.zone)).time()
        if self.opens < self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes
