"""What an operator can set on the aggregator through its module twin."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from device.settings import ReportingSettings
from iot_core.errors import EdgeyardError
from iot_core.routing.compiler import compile_condition
from iot_core.routing.parser import parse_condition
from modules.aggregator.functions import FUNCTIONS, FunctionName
from modules.aggregator.paths import reader_of_path
from modules.aggregator.times import LONGEST_S, TimeFormat

__all__ = ["Aggregate", "AggregatorSettings", "Definition", "Hopping", "Session", "Sliding", "Timestamp", "Tumbling"]

MAX_DEFINITIONS = 20
MAX_AGGREGATES = 20
MAX_GROUP_KEYS = 5
MAX_WINDOWS_PER_RECORD = 120  # An hour in steps of half a minute; each costs as much as a record of its own.
SHORTEST_S = 0.001


def _a_path(path: str) -> str:
    try:
        reader_of_path(path)
    except EdgeyardError as error:
        raise ValueError(str(error)) from None
    return path


def _a_condition(text: str) -> str:
    try:
        compile_condition(parse_condition(text).node)
    except EdgeyardError as error:
        raise ValueError(str(error)) from None
    return text


Seconds = Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)]
SecondsOrNone = Annotated[float, Field(ge=0, le=LONGEST_S)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Path = Annotated[str, StringConstraints(max_length=256), AfterValidator(_a_path)]
Condition = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_a_condition)]
OutputName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Part(BaseModel):
    """A part of a definition; a name that it does not have is refused, since it would have no effect."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Tumbling(_Part):
    """Windows of one size, one after another."""

    type: Literal["tumbling"]
    size: Seconds = Field(description="Seconds")
    offset: SecondsOrNone = Field(default=0, description="Seconds by which windows begin after 1970-01-01T00:00:00Z")


class Hopping(_Part):
    """Windows of one size that begin every `hop` seconds and overlap."""

    type: Literal["hopping"]
    size: Seconds = Field(description="Seconds")
    hop: Seconds = Field(description="Seconds from one window's begin to the next; not above size")
    offset: SecondsOrNone = Field(default=0, description="Seconds by which windows begin after 1970-01-01T00:00:00Z")

    @model_validator(mode="after")
    def _overlaps(self) -> Self:
        if self.hop > self.size:
            raise ValueError("hop must not be above size: records between two windows would be in none")
        if self.size / self.hop > MAX_WINDOWS_PER_RECORD:
            raise ValueError(f"size / hop must not be above {MAX_WINDOWS_PER_RECORD}")
        return self


class Sliding(_Part):
    """For every time at which a record came, the `size` seconds up to it."""

    type: Literal["sliding"]
    size: Seconds = Field(description="Seconds")


class Session(_Part):
    """Records that are less than `gap` seconds apart."""

    type: Literal["session"]
    gap: Seconds = Field(description="Seconds without a record that end a session")


Window = Annotated[Tumbling | Hopping | Sliding | Session, Field(discriminator="type")]


class Aggregate(_Part):
    """One value of a result."""

    function: FunctionName
    of: Path | None = Field(default=None, description="Path of the values; count and rate may leave it out")
    p: float | None = Field(default=None, ge=0, le=100, description="Of function percentile, 0 to 100")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.of is None and FUNCTIONS[self.function].needs_column:
            raise ValueError(f"{self.function} needs `of`, the path of its values")
        if (self.p is None) == (self.function == "percentile"):
            raise ValueError("percentile needs `p`, and no other function has it")
        return self


class Timestamp(_Part):
    """Where the event time is."""

    path: Path
    format: TimeFormat = "auto"


class Definition(_Part):
    """One aggregation: what of which messages, over which windows, for which groups."""

    window: Window
    aggregates: dict[FieldName, Aggregate] = Field(min_length=1, max_length=MAX_AGGREGATES)
    group_by: dict[FieldName, Path] = Field(default_factory=dict, max_length=MAX_GROUP_KEYS)
    where: Condition | None = Field(default=None, description="Condition in the route language; others are left out")
    timestamp: Timestamp | None = Field(default=None, description="Else the time the edge hub got the message")
    out_of_orderness: SecondsOrNone = Field(default=5, description="Seconds that the watermark stays behind")
    allowed_lateness: SecondsOrNone = Field(default=60, description="Seconds that a closed window can be corrected")
    idle_timeout: SecondsOrNone = Field(default=30, description="Seconds of silence before time passes; 0: never")
    max_ahead: SecondsOrNone = Field(default=3600, description="Seconds that an event time may be in the future")
    max_groups: int = Field(default=10_000, ge=1, le=100_000, description="Groups at once; more are refused")
    output: OutputName = Field(default="results", description="Output of the results")

    def meaning(self) -> dict[str, Any]:
        """What its windows depend on; when that changes they begin anew."""
        parts = {"window", "aggregates", "group_by", "where", "timestamp"}
        return self.model_dump(mode="json", by_alias=True, include=parts)


class AggregatorSettings(ReportingSettings):
    """Settings of the aggregator."""

    definitions: dict[Name, Definition] = Field(
        default_factory=dict, max_length=MAX_DEFINITIONS, description="Aggregations by name"
    )
    remembered_ids: int = Field(
        default=50_000,
        ge=0,
        le=1_000_000,
        description="Message ids kept to know a message that comes a second time; 0: none",
    )
