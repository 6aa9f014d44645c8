"""A configuration: for devices, for modules, or a deployment to edge devices (REST reference, "Configuration")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iot_core import limits
from iot_core.configurations.content import Content, modules_named, parse_content
from iot_core.configurations.errors import (
    ConfigurationError,
    MetricQueryError,
    TargetConditionError,
)
from iot_core.configurations.target import DEVICES, MODULES, Target, compile_target
from iot_core.errors import QueryError
from iot_core.json_types import JsonObject
from iot_core.query import parse

__all__ = ["Configuration", "Settings", "TooManyModulesError", "check_metric", "parse_settings"]

CUSTOM_METRICS_MAX = 5
"""Custom metrics of one configuration, as the documentation of automatic device management gives it."""

_ID = re.compile(r"[a-z0-9\-+%_*!']{1,128}")
_PRIORITY_MAX = 2**31 - 1


class TooManyModulesError(ConfigurationError):
    """A deployment with more modules than a device may run by it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What of a configuration its owner writes; all but the content may be changed later."""

    content: Content
    target: Target = field(compare=False, repr=False)
    target_condition: str = ""
    priority: int = 0
    schema_version: str | None = None
    labels: JsonObject | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A configuration as rules use it. Of two with one priority the one with the higher ``order`` is the newer."""

    id: str
    order: int
    priority: int
    target: Target
    content: Content

    @property
    def rank(self) -> tuple[int, int]:
        """The higher wins."""
        return self.priority, self.order


def parse_settings(configuration_id: str, body: Mapping[str, Any], content: Content | None = None) -> Settings:
    """Read the body of a PUT; ``content`` is that of the existing configuration, which a body cannot change.

    Raises ConfigurationError or a subclass, TooManyModulesError.
    """
    _check_id(configuration_id, body)
    given = parse_content(body.get("content"))
    kept = content or given
    _check_modules(given)
    condition = _text(body.get("targetCondition"), "targetCondition") or ""
    return Settings(
        content=kept,
        target=_target(condition, kept),
        target_condition=condition,
        priority=_priority(body.get("priority")),
        schema_version=_text(body.get("schemaVersion"), "schemaVersion"),
        labels=_labels(body.get("labels")),
        metrics=_metrics(body.get("metrics")),
    )


def _check_id(configuration_id: str, body: Mapping[str, Any]) -> None:
    if not _ID.fullmatch(configuration_id):
        raise ConfigurationError(
            "a configuration id has 1 to 128 characters: lower-case letters, digits and - + % _ * ! '"
        )
    if body.get("id") not in (None, configuration_id):
        raise ConfigurationError("id in the body is not that of the path")


def _check_modules(content: Content) -> None:
    if content.kind != "modulesContent":
        return
    count = len(modules_named(content.sections))
    if count > limits.MODULES_PER_DEPLOYMENT:
        raise TooManyModulesError(f"{count} modules: a deployment may have {limits.MODULES_PER_DEPLOYMENT}")


def _target(condition: str, content: Content) -> Target:
    target = compile_target(condition)
    wanted = MODULES if content.kind == "moduleContent" else DEVICES
    if target.condition is not None and target.collection != wanted:
        how = "starts with FROM devices.modules WHERE" if wanted == MODULES else "is about devices, not modules"
        raise TargetConditionError(f"targetCondition: for {content.kind} it {how}")
    return target


def _priority(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _PRIORITY_MAX:
        raise ConfigurationError("priority must be a whole number, 0 or above")
    return value


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a text")
    return value


def _labels(value: Any) -> JsonObject | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(label, str) for label in value.values()):
        raise ConfigurationError("labels must be an object of texts")
    return value


def _metrics(value: Any) -> dict[str, str]:
    queries = (value or {}).get("queries") if isinstance(value, dict | None) else value
    if queries is None:
        return {}
    if not isinstance(queries, dict):
        raise MetricQueryError("metrics must be an object with queries, an object of texts")
    if len(queries) > CUSTOM_METRICS_MAX:
        raise MetricQueryError(f"{len(queries)} metrics: a configuration may have {CUSTOM_METRICS_MAX}")
    for name, query in queries.items():
        check_metric(name, query)
    return dict(queries)


def check_metric(name: str, query: Any) -> None:
    """Raises MetricQueryError unless ``query`` is a text that parses as a query."""
    if not isinstance(query, str):
        raise MetricQueryError(f"metric {name}: the query must be a text")
    try:
        parse(query)
    except QueryError as error:
        raise MetricQueryError(f"metric {name}: {error}") from error
