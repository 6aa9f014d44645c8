"""What an operator can set on the sentiment module through its module twin."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from device.settings import ReportingSettings

__all__ = ["SentimentSettings", "WhenFull", "default_endpoint"]

CONTAINER_PORT = 5000
LANGUAGE = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
PATH_LENGTH = 256


class WhenFull(StrEnum):
    """What happens to a message that comes while the waiting texts have reached their limit."""

    HOLD = "hold"
    DROP_OLDEST = "dropOldest"


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
    text_path: str = Field(
        default="text", min_length=1, max_length=PATH_LENGTH, description="Where the text is in a record, dotted"
    )
    language_path: str = Field(
        default="language",
        max_length=PATH_LENGTH,
        description="Where a record names its language, dotted; empty: nowhere",
    )
    language_property: str = Field(
        default="language",
        max_length=PATH_LENGTH,
        description="The message property that names the language of records that do not; empty: none",
    )
    language: str = Field(default="en", pattern=LANGUAGE, description="Language of texts that name none")
    max_batch: int = Field(
        default=100, ge=1, le=1000, description="Texts in one request, where the container's API allows as many"
    )
    max_wait: float = Field(
        default=0.05, ge=0, le=60, description="Seconds that the first text of a request waits for others"
    )
    parallel_batches: int = Field(default=4, ge=1, le=32, description="Requests under way at once; 1 keeps the order")
    include_sentences: bool = Field(default=False, description="Add the container's verdict on each sentence (v3 on)")
    positive_above: float = Field(default=0.7, ge=0, le=1, description="Scores of v2 above this are positive")
    negative_below: float = Field(default=0.3, ge=0, le=1, description="Scores of v2 below this are negative")
    max_waiting: int = Field(default=100_000, ge=1, le=10_000_000, description="Texts that may wait on disk")
    max_waiting_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1024, le=1 << 40, description="Bytes that the waiting texts may have"
    )
    when_full: WhenFull = Field(
        default=WhenFull.HOLD,
        description="hold: leave new messages with the edge hub; dropOldest: report the oldest texts as errors",
    )
    breaker_failures: int = Field(
        default=5, ge=1, le=1000, description="Failed requests in a row after which the container is left alone"
    )
    breaker_pause: float = Field(
        default=5.0, ge=0.05, le=3600, description="Seconds that it is left alone at first; doubled up to a minute"
    )

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
        """positive, negative or neutral, for a score of v2."""
        if score > self.positive_above:
            return "positive"
        return "negative" if score < self.negative_below else "neutral"
