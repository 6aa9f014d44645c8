"""Why a configuration is refused."""

from __future__ import annotations

from iot_core.errors import InputError

__all__ = ["ConfigurationContentError", "ConfigurationError", "MetricQueryError", "TargetConditionError"]


class ConfigurationError(InputError):
    """A configuration that cannot be."""


class TargetConditionError(ConfigurationError):
    """A target condition that does not parse, or asks for what target conditions may not."""


class ConfigurationContentError(ConfigurationError):
    """Content of no kind or of several, or with what a twin may not hold."""


class MetricQueryError(ConfigurationError):
    """A metric whose query does not parse."""
