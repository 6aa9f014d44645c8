"""The workload API over its sockets."""

from __future__ import annotations

import base64
import hmac
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from iot_core.clock import SystemClock
from iot_core.identity import generate_key
from local_edge.keys import KeyStore, ModuleKey
from local_edge.workload import WorkloadServer, runtime_folder
from transport.certificates import make_authority

KEY = generate_key()
AUTHORITY = make_authority()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WorkloadServer]:
    keys = KeyStore(tmp_path / "identities.json")
    for name in ("m", "n"):
        keys.put(name, ModuleKey(key=KEY, generation_id="7"))
    folder = runtime_folder()
    serving = WorkloadServer(
        folder,
        keys=keys,
        authority=AUTHORITY,
        hub="hub.example",
        device="edge",
        clock=SystemClock(),
        rows=lambda: [{"name": "m"}],
    )
    for name in ("m", "n"):
        await serving.open(name)
    yield serving
    await serving.close_all()
    shutil.rmtree(folder)


async def ask(
    server: WorkloadServer, method: str, path: str, body: Any = None, module: str = "m"
) -> tuple[int, dict[str, Any]]:
    connector = aiohttp.UnixConnector(server.uri(module).removeprefix("unix://"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://edge{path}?api-version=2020-07-07", json=body) as response,
    ):
        return response.status, await response.json()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_a_module_signs_with_its_own_key(server: WorkloadServer) -> None:
    status, body = await ask(server, "POST", "/modules/m/genid/7/sign", {"data": b64(b"text")})
    expected = hmac.digest(base64.b64decode(KEY), b"text", "sha256")
    assert (status, body) == (200, {"digest": b64(expected)})


async def test_a_socket_answers_for_its_own_module_only(server: WorkloadServer) -> None:
    status, body = await ask(server, "POST", "/modules/n/genid/7/sign", {"data": b64(b"text")})
    assert (status, body) == (403, {"message": "this socket belongs to module m, not to n"})


async def test_the_trust_bundle_is_the_edges_authority(server: WorkloadServer) -> None:
    assert await ask(server, "GET", "/trust-bundle") == (200, {"certificate": AUTHORITY.certificate_pem.decode()})


async def test_what_one_module_sealed_no_other_can_open(server: WorkloadServer) -> None:
    vector = {"initializationVector": b64(b"vector")}
    _, sealed = await ask(server, "POST", "/modules/m/genid/7/encrypt", {"plaintext": b64(b"secret"), **vector})
    assert await ask(server, "POST", "/modules/m/genid/7/decrypt", {**sealed, **vector}) == (
        200,
        {"plaintext": b64(b"secret")},
    )
    for module, generation in (("n", "7"), ("m", "8")):
        path = f"/modules/{module}/genid/{generation}/decrypt"
        assert (await ask(server, "POST", path, {**sealed, **vector}, module=module))[0] == 400


async def test_a_server_certificate_names_what_was_asked_and_the_module(server: WorkloadServer) -> None:
    status, body = await ask(server, "POST", "/modules/m/genid/7/certificate/server", {"commonName": "gateway.local"})
    certificate = x509.load_pem_x509_certificate(body["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert (status, names.get_values_for_type(x509.DNSName)) == (201, ["gateway.local", "m"])
    certificate.verify_directly_issued_by(AUTHORITY.certificate)


async def test_an_identity_certificate_is_for_clients(server: WorkloadServer) -> None:
    status, body = await ask(server, "POST", "/modules/m/certificate/identity")
    certificate = x509.load_pem_x509_certificate(body["certificate"].encode())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (status, list(usage)) == (201, [ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate.verify_directly_issued_by(AUTHORITY.certificate)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/modules/m/genid/7/sign", {"data": "§"}, 400),
        ("POST", "/modules/m/genid/7/sign", [], 400),
        ("GET", "/nothing", None, 404),
        ("GET", "/modules/m/genid/7/sign", None, 405),
    ],
)
async def test_refusals_carry_a_message(
    server: WorkloadServer, method: str, path: str, body: Any, expected: int
) -> None:
    status, answer = await ask(server, method, path, body)
    assert (status, list(answer)) == (expected, ["message"])


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_sockets_are_private_and_their_paths_short(server: WorkloadServer) -> None:
    path = Path(server.uri("m").removeprefix("unix://"))
    assert len(str(path).encode()) <= 100
    assert [mode(path), mode(path.parent)] == [0o600, 0o700]
    assert await ask(server, "GET", "/modules") == (200, {"modules": [{"name": "m"}]})
