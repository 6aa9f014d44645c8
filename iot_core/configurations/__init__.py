"""Automatic configurations of devices and modules, and edge deployments: what they say and what follows, no I/O."""

from __future__ import annotations

from iot_core.configurations.content import Content, parse_content, settings_of, with_settings
from iot_core.configurations.errors import (
    ConfigurationContentError,
    ConfigurationError,
    MetricQueryError,
    TargetConditionError,
)
from iot_core.configurations.model import (
    Configuration,
    Settings,
    TooManyModulesError,
    check_metric,
    parse_settings,
)
from iot_core.configurations.rules import APPLIED, TARGETED, Matches, Rules, TwinPlan
from iot_core.configurations.target import Target, compile_target

__all__ = [
    "APPLIED",
    "TARGETED",
    "Configuration",
    "ConfigurationContentError",
    "ConfigurationError",
    "Content",
    "Matches",
    "MetricQueryError",
    "Rules",
    "Settings",
    "Target",
    "TargetConditionError",
    "TooManyModulesError",
    "TwinPlan",
    "check_metric",
    "compile_target",
    "parse_content",
    "parse_settings",
    "settings_of",
    "with_settings",
]
