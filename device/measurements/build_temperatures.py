"""Make temperatures.csv.gz from the package vega_datasets 0.9.0 (install it in an environment of its own, then run
this file).

    python -m venv /tmp/vega && /tmp/vega/bin/pip install vega_datasets==0.9.0
    /tmp/vega/bin/python device/measurements/build_temperatures.py

The output is the same bytes on every run: one row an hour, temperatures in tenths of a degree Celsius.
"""

from __future__ import annotations

import csv
import gzip
import io
from datetime import datetime
from importlib import resources
from pathlib import Path

SOURCES = {"seattle": "seattle-temps.csv", "san-francisco": "sf-temps.csv"}
SOURCE_TIME_FORMATS = ("%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S")
TARGET = Path(__file__).with_name("temperatures.csv.gz")


def parse_time(text: str) -> datetime:
    """The source files write the hour with and without seconds."""
    for pattern in SOURCE_TIME_FORMATS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a time of the form YYYY/MM/DD HH:MM")


def tenths_celsius(fahrenheit: str) -> int:
    return round((float(fahrenheit) - 32) * 50 / 9)


def read_source(name: str) -> dict[datetime, int]:
    text = resources.files("vega_datasets").joinpath("_data", name).read_text("ascii")
    return {parse_time(row["date"]): tenths_celsius(row["temp"]) for row in csv.DictReader(io.StringIO(text))}


def build() -> bytes:
    columns = {city: read_source(name) for city, name in SOURCES.items()}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["time", *columns])
    for time in sorted(set().union(*columns.values())):
        values = [column.get(time, "") for column in columns.values()]
        writer.writerow([time.isoformat(timespec="minutes"), *values])
    return gzip.compress(out.getvalue().encode("ascii"), mtime=0)


if __name__ == "__main__":
    TARGET.write_bytes(build())
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
