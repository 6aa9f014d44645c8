"""Direct methods as typed Python functions.

    @app.method("reboot")
    async def reboot(delay_seconds: Annotated[float, Field(ge=0)] = 0) -> dict[str, str]: ...

takes the payload {"delaySeconds": 5}. A function with one parameter that is a pydantic model takes the whole payload
as that model. What it returns is the payload of a 200; a MethodAnswer is passed on as it is.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.alias_generators import to_camel
from pydantic_core import to_jsonable_python

from device.client import MethodAnswer, MethodCall
from device.errors import MethodPayloadError
from iot_core.errors import InputError

OK = 200
BAD_PAYLOAD = 400
NO_SUCH_METHOD = 404
FAILED = 500

MethodFunction = Callable[..., Awaitable[Any]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Method:
    function: MethodFunction
    payload_type: type[BaseModel]
    takes_model: bool

    async def __call__(self, payload: Any) -> Any:
        parameters = _validated(self.payload_type, payload)
        if self.takes_model:
            return await self.function(parameters)
        return await self.function(**{name: getattr(parameters, name) for name in self.payload_type.model_fields})


class MethodTable:
    """The direct methods of one application, by name."""

    def __init__(self) -> None:
        self._methods: dict[str, _Method] = {}

    def add(self, name: str, function: MethodFunction) -> None:
        """Register `function`; InputError if the name is taken or a parameter has no type."""
        if name in self._methods:
            raise InputError(f"the direct method {name!r} is defined twice: give one of them another name")
        self._methods[name] = _typed(name, function)

    async def call(self, call: MethodCall) -> MethodAnswer:
        """Answer a call, whatever happens: 404 for an unknown name, 400 with the reason for a payload that does not
        fit, 500 without details for an exception (they go to the log)."""
        method = self._methods.get(call.name)
        if method is None:
            known = ", ".join(sorted(self._methods)) or "none"
            return _error(NO_SUCH_METHOD, f"no method {call.name!r}; there are: {known}")
        try:
            result = await method(call.payload)
            return result if isinstance(result, MethodAnswer) else MethodAnswer(status=OK, payload=_json(result))
        except InputError as error:
            return _error(BAD_PAYLOAD, str(error))
        except Exception:
            log.exception("method failed", method=call.name)
            return _error(FAILED, f"{call.name} failed; the log of the device says why")


def _typed(name: str, function: MethodFunction) -> _Method:
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())
    untyped = [p.name for p in parameters if p.name not in hints]
    if untyped:
        raise InputError(f"the direct method {name!r} has parameters without a type: {', '.join(untyped)}")
    if len(parameters) == 1 and inspect.isclass(model := hints[parameters[0].name]) and issubclass(model, BaseModel):
        return _Method(function=function, payload_type=model, takes_model=True)
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default) for p in parameters
    }
    config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, allow_inf_nan=False)
    model = create_model(f"{name}Payload", __config__=config, **fields)
    return _Method(function=function, payload_type=model, takes_model=False)


def _validated(model: type[BaseModel], payload: Any) -> BaseModel:
    try:
        return model.model_validate_json(json.dumps({} if payload is None else payload))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        reasons = [f"{'.'.join(str(part) for part in p['loc']) or 'payload'}: {p['msg']}" for p in problems]
        raise MethodPayloadError("; ".join(reasons)) from None


def _json(value: Any) -> Any:
    return to_jsonable_python(value, by_alias=True)


def _error(status: int, text: str) -> MethodAnswer:
    return MethodAnswer(status=status, payload={"error": text})
