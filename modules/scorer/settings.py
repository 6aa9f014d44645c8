"""What an operator can set on the scorer through its module twin."""

from __future__ import annotations

from pydantic import Field

from device.settings import ReportingSettings

__all__ = ["ScorerSettings"]


class ScorerSettings(ReportingSettings):
    """Settings of the scorer; the defaults fit hourly temperatures (models/anomaly.md)."""

    field: str = Field(
        default="temperature",
        min_length=1,
        max_length=256,
        description="Dotted path of the number in a telemetry record",
    )
    series_field: str = Field(
        default="sensor",
        max_length=256,
        description="Dotted path of what tells several series of one sender apart; records without it are one series",
    )
    threshold: float = Field(default=0.75, gt=0, le=1, description="Score from which a value is flagged as an anomaly")
    minimum_history: int = Field(
        default=72,
        ge=24,
        le=10_000,
        description="Values of a series before the first is scored; at most the model's window",
    )
    keep_anomalies: bool = Field(
        default=True,
        description="Let flagged values into the window, so that a new level is learnt; false keeps the window clean",
    )
    refractory_values: int = Field(
        default=60,
        ge=0,
        le=10_000,
        description="Scores that do not beat the highest of this many before are halved: one alarm per event; 0 is off",
    )
    max_series: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Series remembered at once; the one silent for longest is forgotten",
    )
