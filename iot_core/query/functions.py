"""Functions that conditions on twins and jobs may call.

STARTSWITH and ENDSWITH are written without an underscore here and with one in routes; each spelling fails in the other
place. The documentation lists IS_DEFINED only; the string functions and ARRAY_CONTAINS are what Microsoft's own tools
send, and the type tests go with IS_DEFINED. Mathematics and the rest of the string functions belong to message routing.

Source of the rules: IoT Hub developer guide, "IoT Hub query language" (functions); Azure IoT Explorer and the Azure
CLI's IoT extension for the undocumented ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from iot_core.query.values import UNDEFINED, QuerySyntaxError, Truth, equal, is_number

__all__ = ["FUNCTIONS", "check_call"]


def _on_strings(test: Callable[[str, str], bool]) -> Callable[[Any, Any], Truth]:
    def apply(value: Any, other: Any) -> Truth:
        return test(value, other) if isinstance(value, str) and isinstance(other, str) else UNDEFINED

    return apply


def _array_contains(array: Any, wanted: Any) -> Truth:
    if not isinstance(array, list) or wanted is UNDEFINED:
        return UNDEFINED
    return any(equal(element, wanted) is True for element in array)


def _type_test(test: Callable[[Any], bool]) -> Callable[[Any], Truth]:
    return lambda value: UNDEFINED if value is UNDEFINED else test(value)


FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Truth]]]] = {
    "IS_DEFINED": (1, lambda value: value is not UNDEFINED),
    "STARTSWITH": (2, _on_strings(str.startswith)),
    "ENDSWITH": (2, _on_strings(str.endswith)),
    "ARRAY_CONTAINS": (2, _array_contains),
    "IS_ARRAY": (1, _type_test(lambda value: isinstance(value, list))),
    "IS_BOOL": (1, _type_test(lambda value: isinstance(value, bool))),
    "IS_NULL": (1, _type_test(lambda value: value is None)),
    "IS_NUMBER": (1, _type_test(is_number)),
    "IS_OBJECT": (1, _type_test(lambda value: isinstance(value, dict))),
    "IS_PRIMITIVE": (1, _type_test(lambda value: not isinstance(value, dict | list))),
    "IS_STRING": (1, _type_test(lambda value: isinstance(value, str))),
}
"""Name → number of arguments, and the function on their values."""

_ROUTE_SPELLINGS: Final = {"STARTS_WITH": "STARTSWITH", "ENDS_WITH": "ENDSWITH"}


def check_call(name: str, arguments: int, position: int) -> None:
    """Raise `QuerySyntaxError` for a function that is not there or a wrong number of arguments."""
    wanted = FUNCTIONS.get(name.upper())
    if wanted is None:
        spelling = _ROUTE_SPELLINGS.get(name.upper())
        hint = f": {name} is for routes, write {spelling}" if spelling else ""
        raise QuerySyntaxError(f"there is no function {name} in queries{hint}", position)
    if arguments != wanted[0]:
        raise QuerySyntaxError(f"{name} takes {wanted[0]} arguments, not {arguments}", position)
