"""What an operator can set on the sentiment module through its module twin."""

from __future__ import annotations

import os
from typing import Self

from pydantic import Field, field_validator, model_validator

from device.settings import ReportingSettings

__all__ = ["SentimentSettings", "default_endpoint"]

CONTAINER_PORT = 5000


def default_endpoint() -> str:
    """The container's published port on this edge device, as the runtime names the device to its modules."""
    return f"http://{os.environ.get('IOTEDGE_GATEWAYHOSTNAME') or 'localhost'}:{CONTAINER_PORT}"


class SentimentSettings(ReportingSettings):
    """Settings of the sentiment module."""

    endpoint: str = Field(
        default_factory=default_endpoint,
        max_length=2048,
        description="Address of the sentiment container, without a path (default: this edge device, port 5000)",
    )
    language: str = Field(
        default="en", pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="Language of texts that name none"
    )
    positive_above: float = Field(default=0.7, ge=0, le=1, description="Scores above this are positive")
    negative_below: float = Field(default=0.3, ge=0, le=1, description="Scores below this are negative")

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if scheme not in ("http", "https") or not rest.strip("/"):
            raise ValueError("an address such as http://localhost:5000 is needed")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _leaves_room_between(self) -> Self:
        if self.negative_below > self.positive_above:
            raise ValueError("negativeBelow must not be above positiveAbove")
        return self

    def sentiment(self, score: float) -> str:
        """positive, negative or neutral."""
        if score > self.positive_above:
            return "positive"
        return "negative" if score < self.negative_below else "neutral"
