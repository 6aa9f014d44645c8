"""Typed settings bound to the desired properties of a twin.

A device or module declares one TwinSettings class. Every top-level field is a writable property in the sense of IoT
Plug and Play ("IoT Plug and Play conventions", section "Writable properties"): the operator writes the desired
property, the device answers with a reported property of the same name, {"value", "ac", "av", "ad"}:

    200  applied: value is the desired value, av the desired $version it came with
    400  refused: value is the one that stays in force, ad says why
    203  set by the device itself: the default at start, when nobody has written the property (av 0)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from iot_core.errors import SettingsError
from iot_core.twin import merge_patch

APPLIED = 200
DEVICE_INITIATED = 203
REFUSED = 400
MAX_REASON_CHARS = 256  # `ad` is for a person; a twin string may hold 4,096 bytes, and every device would carry them.
MIN_INTERVAL_S = 0.2  # Faster than this the twin and the telemetry of a fleet are throttled by any hub.
MAX_INTERVAL_S = 86_400.0  # One day: a device that is silent for longer cannot be told from a dead one.

Json = Any

MASK = "***"
"""What stands for a secret wherever settings are shown."""
SecretText: TypeAlias = Annotated[SecretStr, PlainSerializer(lambda _: MASK, return_type=str, when_used="json")]
"""A text that acknowledgements, logs and reprs never show: settings give it as "***" (`get_secret_value` reads it)."""


class TwinSettings(BaseModel):
    """Base of all settings classes: fields are snake_case here and camelCase in the twin.

    Every field needs a default, because a twin can be empty. Values are strict: the text "5" is not a number. Unknown
    desired names are ignored, since other layers may own them. Instances are frozen.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
        extra="ignore",
        frozen=True,
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if field.is_required():
                raise SettingsError(
                    f"the setting {cls.__name__}.{name} has no default: give it one, a twin can be empty"
                )

    @classmethod
    def from_twin(cls, values: Mapping[str, Json]) -> Self:
        """Settings from twin names and JSON values; pydantic's ValidationError if one is not allowed."""
        return cls.model_validate_json(json.dumps(values))

    @classmethod
    def twin_names(cls) -> tuple[str, ...]:
        """The names in the twin, in the order of the class."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    def to_twin(self) -> dict[str, Json]:
        """All settings as twin names and JSON values, secrets as MASK."""
        return self.model_dump(mode="json", by_alias=True)


class ReportingSettings(TwinSettings):
    """The settings that every device and module has."""

    reporting_interval: float = Field(
        default=10.0,
        ge=MIN_INTERVAL_S,
        le=MAX_INTERVAL_S,
        description="Seconds between two telemetry messages and between two updates of the reported properties",
    )


S = TypeVar("S", bound=TwinSettings)


class Outcome(NamedTuple, Generic[S]):
    """What SettingsSession.apply gives: the settings in force and the reported patch that acknowledges them."""

    settings: S
    reported: dict[str, Json]


@dataclass(frozen=True, kw_only=True)
class _Change:
    """One setting and its desired value; `removed` when the operator deleted the property (or never wrote it)."""

    name: str
    value: Json
    removed: bool


class SettingsSession(Generic[S]):
    """Follows the desired properties of one twin and keeps the settings in force; no I/O.

    `apply` takes patches and full documents alike: a full document is turned into the patch that leads to it. A bad
    value keeps the value in force and never holds up a good one beside it, whether it fails alone or together with
    others (a validator over several fields); it is tried again when another setting changes.
    """

    FIRST_VERSION: ClassVar[int] = 0

    def __init__(self, settings_type: type[S], *, last_good: Mapping[str, Json] | None = None) -> None:
        """`last_good` are twin names and values that an earlier run had in force: they stay so until the desired
        properties say otherwise, and when those are refused. What is not valid any more is forgotten."""
        self._type = settings_type
        self._names = settings_type.twin_names()
        self._desired: dict[str, Json] = {}
        self._in_force: dict[str, Json] = {}
        self._refused: set[str] = set()
        self.settings: S = settings_type()
        kept = [_Change(name=name, value=value, removed=False) for name, value in (last_good or {}).items()]
        if kept and self._problems(kept) is None:
            self._in_force = _with_changes({}, kept)
            self.settings = self._validated(self._in_force)
        self.version = self.FIRST_VERSION

    def begin_connection(self) -> None:
        """Forget the last version seen: on a new connection the document that the hub sends counts, even if the twin
        was made anew and its versions start again from 1."""
        self.version = self.FIRST_VERSION

    def apply(self, desired: Mapping[str, Json], *, full: bool = False) -> Outcome[S]:
        """Apply a desired patch, or with `full` the whole desired section, each with its "$version".

        Returns the settings in force and the acknowledgements; none when the version is older than the last one applied
        (or the same, for a patch): IoT Hub developer guide, "Understand and use device twins", "Device reconnection
        flow".
        """
        version = int(desired.get("$version", self.version + 1))
        if version < self.version or (version == self.version and not full):
            return Outcome(self.settings, {})
        self.version = version
        patch = {name: desired[name] for name in self._names if name in desired}
        untouched = [name for name in self._names if full and name not in desired]
        patch.update(dict.fromkeys(untouched))
        never_written = {name for name in untouched if name not in self._desired}
        return self._apply_patch(patch, version, never_written)

    def _apply_patch(self, patch: dict[str, Json], version: int, never_written: set[str]) -> Outcome[S]:
        self._desired = merge_patch(self._desired, patch)
        changes = [self._change(name) for name in self._names if name in patch or name in self._refused]
        accepted, reasons = self._select(changes)
        self._in_force = _with_changes(self._in_force, accepted)
        self.settings = self._validated(self._in_force)
        acknowledged = [c.name for c in changes if c.name in patch or c.name not in reasons]
        self._refused = set(reasons)
        values = self.settings.to_twin()
        reported = {
            name: _acknowledgement(values[name], version, reasons.get(name), device_initiated=name in never_written)
            for name in acknowledged
        }
        return Outcome(self.settings, reported)

    def _change(self, name: str) -> _Change:
        return _Change(name=name, value=self._desired.get(name), removed=name not in self._desired)

    def _validated(self, values: Mapping[str, Json]) -> S:
        return self._type.from_twin(values)

    def _problems(self, changes: list[_Change]) -> dict[str, str] | None:
        """None if the settings are valid with these changes, else name → reason; "" is a problem of several fields."""
        try:
            self._validated(_with_changes(self._in_force, changes))
        except ValidationError as error:
            return _reasons(error)
        return None

    def _select(self, changes: list[_Change]) -> tuple[list[_Change], dict[str, str]]:
        """Split changes into those that can be applied together and those refused, with the reason of each."""
        reasons: dict[str, str] = {}
        sound = list(changes)
        while sound and (problems := self._problems(sound)):
            blamed = [c for c in sound if c.name in problems]
            if not blamed:
                break
            reasons |= {c.name: problems[c.name] for c in blamed}
            sound = [c for c in sound if c not in blamed]
        accepted = next(kept for kept in self._candidates(sound) if self._problems(kept) is None)
        for change in sound:
            if change not in accepted:
                problems = self._problems([*accepted, change]) or {}
                reasons[change.name] = next(iter(problems.values()), "it does not fit the other settings")
        return accepted, reasons

    def _candidates(self, changes: list[_Change]) -> Iterator[list[_Change]]:
        """Sets of changes to try, the largest first: all, all but one, all but two, then what adds up one by one."""
        for size in range(len(changes), max(len(changes) - 3, -1), -1):
            yield from (list(kept) for kept in combinations(changes, size))
        yield self._grown(changes)

    def _grown(self, changes: list[_Change]) -> list[_Change]:
        """Add changes one at a time until none of the rest fits: linear where trying all combinations is not."""
        kept: list[_Change] = []
        rest = list(changes)
        while fitting := next((c for c in rest if self._problems([*kept, c]) is None), None):
            kept.append(fitting)
            rest.remove(fitting)
        return kept


def _with_changes(values: Mapping[str, Json], changes: list[_Change]) -> dict[str, Json]:
    result = dict(values)
    for change in changes:
        if change.removed:
            result.pop(change.name, None)
        else:
            result[change.name] = change.value
    return result


def _reasons(error: ValidationError) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name, *path = [str(part) for part in problem["loc"]] or [""]
        place = ".".join(path)
        text = problem["msg"].removeprefix("Value error, ")
        reasons.setdefault(name, f"{place}: {text}" if place else text)
    return reasons


def _acknowledgement(value: Json, version: int, reason: str | None, *, device_initiated: bool) -> dict[str, Json]:
    """`ad` is always there: twins are merged, so a reason left out would stay from the refusal before."""
    if reason is not None:
        return {"value": value, "ac": REFUSED, "av": version, "ad": _one_line(reason)}
    if device_initiated:
        return {"value": value, "ac": DEVICE_INITIATED, "av": 0, "ad": "default"}
    return {"value": value, "ac": APPLIED, "av": version, "ad": "applied"}


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 1] + "…"
