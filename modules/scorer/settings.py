"""What an operator can set on the scorer through its module twin."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from device.settings import ReportingSettings, SecretText
from modules.scorer.specification import RESERVED, ModelName, ModelSpec

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
    detector: Literal["graph", "graph+context", "context"] = Field(
        default="graph",
        description="What judges: the model anomaly (graph), the memory of contexts, or the mean of both",
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
        description="Series remembered at once; the one silent for longest is forgotten, and counted",
    )
    models: dict[ModelName, ModelSpec] = Field(
        default={}, max_length=32, description="Models by name, beside and over classifier, emotion and anomaly"
    )

    @field_validator("models")
    @classmethod
    def _names_are_free(cls, models: dict[str, ModelSpec]) -> dict[str, ModelSpec]:
        if taken := [name for name in RESERVED if name in models]:
            raise ValueError(f"a model cannot have the name {taken[0]}")
        return models

    default_model: ModelName | None = Field(
        default=None, description="The model that POST /score means; default: --default-model, else classifier"
    )
    providers: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="Execution providers in order, such as cuda, cpu; default: --providers, else what is there",
    )
    key: SecretText | None = Field(
        default=None, min_length=1, max_length=256, description="Bearer key that guards scoring; never shown"
    )
