"""Method calls between modules over HTTPS: POST /twins/{device}/modules/{module}/methods on the gateway.

Headers, limits and answers: the edge hub's TwinsController, which `invoke_method` of the SDKs' module clients calls.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from aiohttp import web

from iot_core.errors import EdgeyardError, InputError
from iot_core.identity import Identity
from local_edge.edgehub.login import LoginRefusedError, LoginRules
from local_edge.edgehub.methods import MethodTimeoutError, ModuleAbsentError, ModuleMethods, read_call

__all__ = ["method_application"]

CALLER_HEADER = "x-ms-edge-moduleId"
MAX_BODY_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


def method_application(*, device: str, login: LoginRules, methods: ModuleMethods) -> web.Application:
    """The HTTPS application of the gateway."""
    front = _MethodFront(device, login, methods)
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.add_routes(
        [
            web.post("/twins/{device}/modules/{module}/methods", front.call_module),
            web.post("/twins/{device}/methods", front.call_device),
        ]
    )
    return application


class _MethodFront:
    def __init__(self, device: str, login: LoginRules, methods: ModuleMethods) -> None:
        self._device = device
        self._login = login
        self._methods = methods

    async def call_module(self, request: web.Request) -> web.Response:
        try:
            self._check_caller(request)
            if request.match_info["device"] != self._device:
                raise ModuleAbsentError(f"device {request.match_info['device']} is not found on this edge")
            call = read_call(await _json(request))
            status, payload = await self._methods.invoke(request.match_info["module"], call)
        except EdgeyardError as error:
            return _refusal(error)
        return web.json_response({"status": status, "payload": json.loads(payload or b"null")})

    async def call_device(self, request: web.Request) -> web.Response:
        try:
            self._check_caller(request)
        except EdgeyardError as error:
            return _refusal(error)
        return _refusal(ModuleAbsentError("downstream devices are not supported by this edge yet"))

    def _check_caller(self, request: web.Request) -> None:
        """The caller is the module that the header names, and its token covers it."""
        caller = request.headers.get(CALLER_HEADER)
        if not caller:
            raise InputError(f"the header {CALLER_HEADER} with <device>/<module> of the caller is missing")
        self._login.check(Identity.from_path(caller), request.headers.get("Authorization", ""))


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        raise InputError("the body is not JSON") from None


def _refusal(error: EdgeyardError) -> web.Response:
    _log.info("method call refused: %s", error)
    match error:
        case LoginRefusedError():
            return web.json_response({"message": "the caller is not a module of this device"}, status=401)
        case InputError():
            # The real edge hub answers the plain text as JSON here, and an object everywhere else.
            return web.json_response(str(error), status=400)
        case ModuleAbsentError():
            return web.json_response({"message": str(error)}, status=404)
        case MethodTimeoutError():
            return web.json_response({"message": str(error)}, status=504)
        case _:
            return web.json_response({"message": str(error)}, status=500)
