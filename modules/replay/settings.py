"""What an operator can set on the replay module through its twin."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from device.settings import ReportingSettings


class Sensor(StrEnum):
    """The sensors that can be played; each is the recording of one city."""

    SEATTLE = "seattle"
    SAN_FRANCISCO = "san-francisco"


class ReplaySettings(ReportingSettings):
    """`reportingInterval` is the time from one recorded hour to the next, and from one text to the next."""

    sensors: tuple[Sensor, ...] = Field(
        default=(Sensor.SEATTLE, Sensor.SAN_FRANCISCO), min_length=1, max_length=2, description="The sensors to play"
    )
    history_hours: int = Field(
        default=72, ge=0, le=2000, description="Past hours sent at once at start, so that a detector's window is full"
    )
    texts: bool = Field(default=True, description="Whether to play the texts as well")
