"""Exit codes, one meaning each."""

from __future__ import annotations

from iot_core.errors import EdgeyardError, HubError, InputError

__all__ = ["DONE", "FAILED", "PARTLY", "UNEXPECTED_CHANGES", "WRONG_USE", "exit_code_of"]

DONE = 0
FAILED = 1
WRONG_USE = 2
PARTLY = 3
UNEXPECTED_CHANGES = 4

_NAMES_OF_WRONG_USE = frozenset(
    {"DeviceNotFound", "ModuleNotFound", "DeviceAlreadyExists", "ModuleAlreadyExistsOnDevice", "ArgumentInvalid"}
)
"""Refusals of a hub that mean what the user typed names nothing, or something taken."""


def exit_code_of(error: EdgeyardError) -> int:
    """2 where another command line would have helped, else 1."""
    if isinstance(error, InputError):
        return WRONG_USE
    if isinstance(error, HubError) and error.name in _NAMES_OF_WRONG_USE:
        return WRONG_USE
    return FAILED
