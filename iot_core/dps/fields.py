"""Members of bodies, with the refusals of those that have the wrong type."""

from __future__ import annotations

from typing import Any

from iot_core.dps.errors import provisioning_error
from iot_core.errors import HubError
from iot_core.json_types import JsonObject

__all__ = ["bad", "choice_of", "flag_of", "not_built", "object_of", "text_of"]


def object_of(container: JsonObject, name: str) -> JsonObject | None:
    """The member, None when it is missing or null; HubError BadRequest for what is no object."""
    value: JsonObject | None = _typed(container, name, dict, "an object")
    return value


def text_of(container: JsonObject, name: str) -> str | None:
    """The member, None when it is missing or null; HubError BadRequest for what is no text."""
    value: str | None = _typed(container, name, str, "a text")
    return value


def flag_of(container: JsonObject, name: str, *, default: bool) -> bool:
    """The member, the default when it is missing or null; HubError BadRequest for what is neither true nor false."""
    value = container.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad(f"{name} must be true or false.")
    return default if value is None else value


def choice_of(container: JsonObject, name: str, choices: tuple[str, ...]) -> str:
    """One of ``choices`` in any case of letters, the first where none is given; HubError BadRequest."""
    text = text_of(container, name) or choices[0]
    found = next((choice for choice in choices if choice.lower() == text.lower()), None)
    if found is None:
        raise bad(f"{name} must be one of {', '.join(choices)}, not {text[:40]!r}.")
    return found


def bad(text: str) -> HubError:
    return provisioning_error("BadRequest", text)


def not_built(feature: str) -> HubError:
    return provisioning_error("NotImplemented", f"{feature}: not built in this local hub.")


def _typed(container: JsonObject, name: str, wanted: type, called: str) -> Any:
    value = container.get(name)
    if value is not None and not isinstance(value, wanted):
        raise bad(f"{name} must be {called}.")
    return value
