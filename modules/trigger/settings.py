"""Settings of the trigger module: rules, and the actions they name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from device.client import METHOD_RESPONSE_S
from device.settings import MASK, ReportingSettings, SecretText
from iot_core.errors import InputError
from modules.trigger.conditions import check_key, compile_rule_condition

__all__ = [
    "Action",
    "Format",
    "HttpAction",
    "MethodAction",
    "OutputAction",
    "Rule",
    "TriggerSettings",
    "shown_url",
]

MAX_RULES = 100
MAX_ACTIONS = 50
"""Both bound the twin, which holds every setting twice: 32 KB desired, 32 KB reported."""
LONGEST_S = 7 * 86_400.0
"""A week; an alarm that waits longer is forgotten by people too."""
KEY_NAMES = frozenset({"code", "sig", "key", "token"})
"""Names by which URLs of Azure carry a key in their query."""


def _condition(text: str) -> str:
    return _or_value_error(lambda: compile_rule_condition(text), text)


def _key(text: str) -> str:
    return _or_value_error(lambda: check_key(text), text)


def _or_value_error(check: Any, text: str) -> str:
    """pydantic keeps the place of a ValueError, which is what the operator needs."""
    try:
        check()
    except InputError as error:
        raise ValueError(str(error)) from None
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give an absolute URL that begins with https:// or http://")
    if parts.username or parts.password:
        raise ValueError("no user name or password in a URL: use key or keyEnvironment")
    return text


def shown_url(text: str) -> str:
    """The URL without what may be a key: its query is masked."""
    head, mark, _ = text.partition("?")
    return head + (f"?{MASK}" if mark else "")


def _variable(name: str) -> str:
    if not os.environ.get(name):
        raise ValueError(f"the environment of this module has no variable {name}")
    return name


Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
"""What may stand as a name in a twin, a metric's label and an event's source."""
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_S)]
ConditionText: TypeAlias = Annotated[str, AfterValidator(_condition)]
KeyText: TypeAlias = Annotated[str, AfterValidator(_key)]
Url: TypeAlias = Annotated[str, AfterValidator(_url), PlainSerializer(shown_url, return_type=str, when_used="json")]
VariableName: TypeAlias = Annotated[str, AfterValidator(_variable)]


class _Part(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
    )


class Format(StrEnum):
    """What is sent."""

    CLOUD_EVENT = "cloudEvent"
    EVENT_GRID = "eventGrid"
    MESSAGE = "message"


class HttpAction(_Part):
    """A POST to a webhook or an Azure Function."""

    type: Literal["http"]
    url: Url = Field(repr=False, description="Where to POST; acknowledged without its query")
    format: Format = Field(default=Format.CLOUD_EVENT, description="Body: cloudEvent, eventGrid, or the plain message")
    key: SecretText | None = Field(default=None, description="Key for keyHeader; keyEnvironment keeps it off the twin")
    key_environment: VariableName | None = Field(default=None, description="Variable of the module that holds the key")
    key_header: str = Field(default="x-functions-key", pattern=r"^[A-Za-z0-9-]{1,64}$", description="Header of the key")
    timeout: float = Field(default=10.0, gt=0, le=60, description="Seconds that an answer may take")

    @model_validator(mode="after")
    def one_key(self) -> Self:
        if self.key is not None and self.key_environment is not None:
            raise ValueError("give key or keyEnvironment, not both")
        return self

    def key_value(self) -> str | None:
        """The key to send, if any."""
        if self.key is not None:
            return self.key.get_secret_value()
        return os.environ.get(self.key_environment) if self.key_environment is not None else None


class MethodAction(_Part):
    """A direct method of a module or device on the same edge."""

    type: Literal["method"]
    method: str = Field(min_length=1, max_length=100, description="Name of the direct method")
    device: str | None = Field(default=None, description="Device id; left out, the edge device itself")
    module: str | None = Field(default=None, description="Module id; left out, the device is called")
    payload: Any = Field(default=None, description="Payload; left out, the event")
    response_timeout: int = Field(default=METHOD_RESPONSE_S, ge=5, le=300, description="Seconds an answer may take")
    connect_timeout: int = Field(default=0, ge=0, le=300, description="Seconds to wait for the target to connect")

    @model_validator(mode="after")
    def names_a_target(self) -> Self:
        if self.device is None and self.module is None:
            raise ValueError("name the module, the device, or both")
        return self


class OutputAction(_Part):
    """A message to an output of this module."""

    type: Literal["output"]
    output: Name = Field(description="Output that the edge hub's routes know")
    format: Format = Field(default=Format.CLOUD_EVENT, description="Body: cloudEvent, eventGrid, or the plain message")


Action: TypeAlias = Annotated[HttpAction | MethodAction | OutputAction, Field(discriminator="type")]


class Rule(_Part):
    """When to act."""

    enabled: bool = True
    input: Literal["telemetry", "twinChanges"] = Field(default="telemetry", description="Input that it listens to")
    condition: ConditionText = Field(description="Condition in the language of routes")
    clear: ConditionText | None = Field(default=None, description="Ends it; left out, the condition being false does")
    each: bool = Field(default=False, description="Fire for every message, not once until it is cleared")
    hold: Seconds = Field(default=0.0, alias="for", description="Seconds that the condition must hold")
    cooldown: Seconds = Field(default=0.0, description="Seconds after a firing without another one")
    key: tuple[KeyText, ...] = Field(
        default=("$connectionDeviceId", "$connectionModuleId"),
        max_length=5,
        description="What tells series apart; each has a state of its own",
    )
    actions: tuple[Name, ...] = Field(min_length=1, max_length=10, description="Names of the actions to run")

    @model_validator(mode="after")
    def each_stands_alone(self) -> Self:
        if self.each and (self.clear is not None or self.hold):
            raise ValueError("each fires for every message: it takes no clear and no for")
        return self


class TriggerSettings(ReportingSettings):
    """The desired properties of the trigger module."""

    actions: dict[Name, Action] = Field(default_factory=dict, max_length=MAX_ACTIONS, description="Actions by name")
    rules: dict[Name, Rule] = Field(default_factory=dict, max_length=MAX_RULES, description="Rules by name")
    max_attempts: int = Field(default=8, ge=1, le=100, description="Attempts before a delivery is parked")
    first_retry: float = Field(default=1.0, ge=0.1, le=3_600, description="Seconds after the first failure; doubles")
    longest_retry: float = Field(default=300.0, ge=1, le=86_400, description="Most seconds between two attempts")
    event_type: str = Field(
        default="edgeyard.trigger.fired", min_length=1, max_length=128, description="Type of the events that are sent"
    )

    @model_validator(mode="after")
    def rules_name_actions(self) -> Self:
        if unknown := next(self._unknown_actions(), None):
            raise ValueError(unknown)
        return self

    def _unknown_actions(self) -> Iterator[str]:
        for name, rule in self.rules.items():
            for place, action in enumerate(rule.actions):
                if action not in self.actions:
                    known = ", ".join(sorted(self.actions)) or "none"
                    yield f"rules.{name}.actions.{place}: there is no action {action!r}; there are: {known}"
