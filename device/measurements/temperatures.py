"""Hourly air temperatures of two cities during 2010, as recorded (README.md beside this file says where they come
from)."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

from iot_core.errors import InputError

CITIES = ("seattle", "san-francisco")
DATA_FILE = "temperatures.csv.gz"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One recorded hour: local standard time of the city (no zone) and the air temperature in °C."""

    time: datetime
    celsius: float


def temperatures(city: str) -> tuple[Reading, ...]:
    """All readings of `city` (one of CITIES), oldest first; InputError for any other name."""
    if city not in CITIES:
        raise InputError(f"no temperatures are recorded for {city!r}: choose one of {', '.join(CITIES)}")
    return _all_readings()[city]


@cache
def _all_readings() -> dict[str, tuple[Reading, ...]]:
    readings: dict[str, list[Reading]] = {city: [] for city in CITIES}
    for row in csv.DictReader(io.StringIO(_data_text())):
        time = datetime.fromisoformat(row["time"])
        for city in CITIES:
            if row[city]:
                readings[city].append(Reading(time=time, celsius=int(row[city]) / 10))
    return {city: tuple(rows) for city, rows in readings.items()}


def _data_text() -> str:
    packed = resources.files("device.measurements").joinpath(DATA_FILE).read_bytes()
    return gzip.decompress(packed).decode("ascii")
