"""The workload API of the IoT Edge daemon: one Unix socket per module, which is how a caller is known.

Calls and shapes: IoT Edge daemon, workload API version 2020-07-07. A socket answers for its own module only; another
module's name in the path is refused with 403. Errors are `{"message": text}`.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from iot_core.clock import Clock
from iot_core.errors import InputError
from local_edge import workload_crypto as crypto
from local_edge.errors import EdgeSettingsError
from local_edge.keys import KeyStore
from local_edge.tls_material import split_names
from transport.certificates import KeyPair, issue_server_certificate

__all__ = ["RUNTIME_PREFIX", "WorkloadServer", "runtime_folder"]

RUNTIME_PREFIX = "edgeyard-edge-"

MAX_CALLS_AT_ONCE = 10
"""Per socket, as in the real daemon."""
MAX_BODY_BYTES = 1024 * 1024
MAX_SOCKET_PATH = 100
"""Bytes; a Unix socket's path ends at 104 on macOS, at 108 on Linux."""

ModuleRows = Callable[[], list[dict[str, Any]]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def runtime_folder() -> Path:
    """A new private folder with a short path for the sockets of one run."""
    for parent in (None, "/tmp"):
        folder = Path(tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir=parent))
        if len(str(folder / "0123456789ab.sock").encode()) <= MAX_SOCKET_PATH:
            return folder
        folder.rmdir()
    raise EdgeSettingsError("no folder with a short path for sockets; set TMPDIR to one under 70 characters")


class WorkloadServer:
    """The sockets of all modules; `rows` gives the list that GET /modules shows."""

    def __init__(
        self, folder: Path, *, keys: KeyStore, authority: KeyPair, hub: str, device: str, clock: Clock, rows: ModuleRows
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._authority = authority
        self._identity_uri = f"azureiot://{hub}/devices/{device}/modules/"
        self._clock = clock
        self._rows = rows
        self._runners: dict[str, web.AppRunner] = {}

    def uri(self, module: str) -> str:
        """IOTEDGE_WORKLOADURI of `module`."""
        return f"unix://{self._path(module)}"

    async def open(self, module: str) -> None:
        """Serve `module`; nothing happens when it is served already."""
        if module in self._runners:
            return
        runner = web.AppRunner(_ModuleApi(self, module).application(), access_log=None)
        await runner.setup()
        path = self._path(module)
        await web.UnixSite(runner, str(path)).start()
        path.chmod(0o600)
        self._runners[module] = runner

    async def close(self, module: str) -> None:
        runner = self._runners.pop(module, None)
        if runner is not None:
            await runner.cleanup()

    async def close_all(self) -> None:
        for module in list(self._runners):
            await self.close(module)

    @property
    def trust_bundle(self) -> str:
        return self._authority.certificate_pem.decode()

    def rows(self) -> list[dict[str, Any]]:
        return self._rows()

    def sign(self, module: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"digest": crypto.sign(crypto.decode_base64(body.get("data"), "data"), self._key(module))}

    def encrypt(self, module: str, generation: str, body: dict[str, Any]) -> dict[str, Any]:
        sealed = crypto.seal(
            crypto.decode_base64(body.get("plaintext"), "plaintext"),
            vector=crypto.decode_base64(body.get("initializationVector"), "initializationVector"),
            owner=f"{module}\n{generation}",
            master=self._keys.master,
        )
        return {"ciphertext": base64.b64encode(sealed).decode()}

    def decrypt(self, module: str, generation: str, body: dict[str, Any]) -> dict[str, Any]:
        opened = crypto.unseal(
            crypto.decode_base64(body.get("ciphertext"), "ciphertext"),
            vector=crypto.decode_base64(body.get("initializationVector"), "initializationVector"),
            owner=f"{module}\n{generation}",
            master=self._keys.master,
        )
        return {"plaintext": base64.b64encode(opened).decode()}

    def server_certificate(self, module: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body.get("commonName")
        if not isinstance(name, str) or not name:
            raise crypto.WorkloadInputError("commonName must be a text")
        names, addresses = split_names([name, module.lstrip("$")])
        pair = issue_server_certificate(self._authority, names, addresses)
        return _certificate_answer(pair, pair.certificate.not_valid_after_utc)

    def identity_certificate(self, module: str) -> dict[str, Any]:
        uri = self._identity_uri + module
        return _certificate_answer(
            *crypto.identity_certificate(self._authority, module=module, uri=uri, now=self._clock.now())
        )

    def _key(self, module: str) -> str:
        known = self._keys.get(module)
        if known is None:
            raise crypto.WorkloadInputError(f"module {module} has no identity")
        return known.key

    def _path(self, module: str) -> Path:
        return self._folder / f"{sha256(module.encode()).hexdigest()[:12]}.sock"


class _ModuleApi:
    """The routes of one socket."""

    def __init__(self, server: WorkloadServer, module: str) -> None:
        self._server = server
        self._module = module
        self._calls = 0

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        own = "/modules/{name}/genid/{genid}"
        application.add_routes(
            [
                web.get("/trust-bundle", self._trust_bundle),
                web.get("/manifest-trust-bundle", self._manifest_trust_bundle),
                web.get("/modules", self._modules),
                web.post(f"{own}/sign", self._sign),
                web.post(f"{own}/encrypt", self._encrypt),
                web.post(f"{own}/decrypt", self._decrypt),
                web.post(f"{own}/certificate/server", self._server_certificate),
                web.post("/modules/{name}/certificate/identity", self._identity_certificate),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if self._calls >= MAX_CALLS_AT_ONCE:
            return _refusal(503, f"over {MAX_CALLS_AT_ONCE} calls at once on this socket; try again")
        self._calls += 1
        try:
            return await self._checked(request, handler)
        except InputError as error:
            return _refusal(400, str(error))
        except web.HTTPException as error:
            return _refusal(error.status, error.text or error.reason)
        finally:
            self._calls -= 1

    async def _checked(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if "api-version" not in request.query:
            return _refusal(400, "the query lacks api-version")
        name = request.match_info.get("name")
        if name is not None and name != self._module:
            return _refusal(403, f"this socket belongs to module {self._module}, not to {name}")
        return await handler(request)

    async def _trust_bundle(self, _: web.Request) -> web.Response:
        return web.json_response({"certificate": self._server.trust_bundle})

    async def _manifest_trust_bundle(self, _: web.Request) -> web.Response:
        return web.json_response({"certificate": ""})

    async def _modules(self, _: web.Request) -> web.Response:
        return web.json_response({"modules": self._server.rows()})

    async def _sign(self, request: web.Request) -> web.Response:
        return web.json_response(self._server.sign(self._module, await _body(request)))

    async def _encrypt(self, request: web.Request) -> web.Response:
        generation = request.match_info["genid"]
        return web.json_response(self._server.encrypt(self._module, generation, await _body(request)))

    async def _decrypt(self, request: web.Request) -> web.Response:
        generation = request.match_info["genid"]
        return web.json_response(self._server.decrypt(self._module, generation, await _body(request)))

    async def _server_certificate(self, request: web.Request) -> web.Response:
        return web.json_response(self._server.server_certificate(self._module, await _body(request)), status=201)

    async def _identity_certificate(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.identity_certificate(self._module), status=201)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise crypto.WorkloadInputError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise crypto.WorkloadInputError("the body is not a JSON object")
    return body


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _certificate_answer(pair: KeyPair, end: datetime) -> dict[str, Any]:
    return {
        "privateKey": {"type": "key", "bytes": pair.private_key_pem.decode()},
        "certificate": pair.certificate_pem.decode(),
        "expiration": end.astimezone(UTC).isoformat(),
    }
