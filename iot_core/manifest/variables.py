"""$NAME and ${NAME} in a template's text, replaced from a mapping that the caller gives.

Source: the IoT Edge development tools, which expand variables before the text is read as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["VARIABLE", "Expanded", "expand_variables"]

VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^{}]*)\})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expanded:
    """The text with its variables replaced, and those that the mapping does not hold, as they were written."""

    text: str
    unresolved: frozenset[str]


def expand_variables(text: str, variables: Mapping[str, str]) -> Expanded:
    """Replaces what `variables` holds and leaves the rest; what a value holds is not expanded again."""
    unresolved: set[str] = set()

    def value_of(match: re.Match[str]) -> str:
        value = variables.get(match[1] or match[2])
        if value is None:
            unresolved.add(match[0])
            return match[0]
        return value

    expanded = VARIABLE.sub(value_of, text)
    return Expanded(text=expanded, unresolved=frozenset(unresolved))
