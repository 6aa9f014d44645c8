"""What the probe asks, as data: scenarios of steps, with placeholders for what is known only when it runs.

In every text of a step, ``{p}`` is the prefix of all that the probe makes, and ``{NAME}`` what an earlier step of the
scenario remembered under NAME.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DEVICE_KEY", "Caller", "Scenario", "Step", "Until", "filled", "value_at"]

DEVICE_KEY = "a2V5LW9mLWV4YWN0bHktMzItYnl0ZXMtaW4tYWxsISE="
"""32 bytes in base64: the key of devices that log in themselves."""

_MADE = re.compile(r"/(?:devices|configurations)/[^/]+")
_JOB = re.compile(r"/jobs/v2/[^/]+$")


class Caller(enum.Enum):
    """Whose token a request carries."""

    OWNER = enum.auto()
    NOBODY = enum.auto()
    FORGER = enum.auto()
    """The owner's policy, signed with a key that is not its own."""
    DEVICE = enum.auto()
    """The device in the path, which was made with ``DEVICE_KEY``."""


@dataclass(frozen=True, kw_only=True)
class Until:
    """Ask again until the value at a place in the body is one of some, or the body is a list of so many rows."""

    at: str = ""
    one_of: tuple[Any, ...] = ()
    rows: int | None = None

    def met_by(self, body: Any) -> bool:
        if self.rows is not None:
            return isinstance(body, list) and len(body) == self.rows
        return value_at(body, self.at) in self.one_of


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request. ``data`` is sent as it is, in place of ``body`` as JSON."""

    name: str
    verb: str
    path: str
    body: Any = None
    data: bytes | None = None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: Caller = Caller.OWNER
    until: Until | None = None
    remember: Mapping[str, str] = field(default_factory=dict)
    """Name → place in the body, as in ``value_at``."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Steps in order, with identities and configurations of their own."""

    name: str
    steps: tuple[Step, ...]

    @property
    def makes(self) -> tuple[str, ...]:
        """The paths of all identities and configurations that a hub may have made, those it should refuse too."""
        return tuple(dict.fromkeys(path for step in self.steps for path in _made_by(step)))

    @property
    def jobs(self) -> tuple[str, ...]:
        """The paths of all jobs that a hub may have made."""
        return tuple(dict.fromkeys(step.path for step in self.steps if step.verb == "PUT" and _JOB.match(step.path)))


def _made_by(step: Step) -> list[str]:
    if step.verb == "PUT" and (match := _MADE.match(step.path)):
        return [match[0]]
    if (step.verb, step.path) == ("POST", "/devices"):
        return [f"/devices/{item['id']}" for item in step.body]
    return []


def value_at(body: Any, place: str) -> Any:
    """The value at "a.b.c" in an object of objects; None where there is none."""
    for name in place.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """The value with the placeholders in its texts, names of members too, replaced."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if isinstance(value, Mapping):
        return {filled(name, names): filled(item, names) for name, item in value.items()}
    return value
