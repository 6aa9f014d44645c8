"""Devices that log in with certificates: azure-iot-device unmodified, and what only raw clients do."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient
from azure.iot.device.exceptions import CredentialError

from edgeyard.cli.main import run
from iot_core import sas
from tests.local_hub.device_certificates import TestCertificate, make_certificate
from tests.local_hub.http_sessions import http_session

Connector = Callable[..., Awaitable[Any]]
pytestmark = pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
async def x509_client(hub: Any, tmp_path: Path) -> AsyncIterator[Connector]:
    """Connects azure-iot-device with a certificate."""
    clients: list[Any] = []

    async def connect(path: str, certificate: TestCertificate, **options: Any) -> Any:
        device_id, _, module_id = path.partition("/")
        module = {"module_id": module_id} if module_id else {}
        client = (IoTHubModuleClient if module_id else IoTHubDeviceClient).create_from_x509_certificate(
            X509(*certificate.save(tmp_path)),
            hostname=hub.host,
            device_id=device_id,
            **module,
            server_verification_cert=hub.ca_file.read_text(),
            **options,
        )
        clients.append(client)
        await client.connect()
        return client

    yield connect
    for client in clients:
        await client.shutdown()


def self_signed(certificate: TestCertificate) -> dict[str, Any]:
    return {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": certificate.sha1}}


@pytest.fixture
async def authority(hub: Any) -> AsyncIterator[TestCertificate]:
    """An authority that the hub trusts while the test runs, by ``edgeyard hub trust-ca``."""
    made = make_certificate(f"authority {uuid.uuid4().hex[:8]}", authority=True)
    file = hub.home / f"{made.sha1}.pem"
    file.write_bytes(made.pem)
    home = ["--home", str(hub.home)]
    assert await asyncio.to_thread(run, ["hub", "trust-ca", str(file), *home]) == 0
    yield made
    assert await asyncio.to_thread(run, ["hub", "trust-ca", "--remove", made.sha256, *home]) == 0


async def test_a_self_signed_certificate_logs_in_and_is_named_on_its_messages(
    x509_client: Connector, rest: Any, trace: Any
) -> None:
    certificate = make_certificate("any name")
    device = await rest.device(authentication=self_signed(certificate))
    client = await x509_client(device.identity.path, certificate)
    async with trace(device.identity.device_id) as events:
        await client.send_message("{}")
        event = await events.source("Telemetry")
    assert '"type":"x509Certificate"' in event["systemProperties"]["connectionAuthMethod"]


async def test_another_certificate_is_refused(x509_client: Connector, rest: Any) -> None:
    device = await rest.device(authentication=self_signed(make_certificate("right")))
    with pytest.raises(CredentialError):
        await x509_client(device.identity.path, make_certificate("wrong"))


@pytest.mark.parametrize("module", [None, "m"])
async def test_a_certificate_of_a_trusted_authority_logs_in_by_its_name(
    x509_client: Connector, rest: Any, authority: TestCertificate, module: str | None
) -> None:
    device_id, by_authority = f"d-{uuid.uuid4().hex[:8]}", {"authentication": {"type": "certificateAuthority"}}
    path = f"{device_id}/{module}" if module else device_id
    await rest.call("PUT", f"/devices/{device_id}", {"deviceId": device_id, **by_authority})
    if module:
        await rest.call("PUT", f"/devices/{device_id}/modules/{module}", by_authority)
    factory = make_certificate("factory", authority, authority=True)
    client = await x509_client(path, make_certificate(path, factory))
    await client.send_message("{}")
    with pytest.raises(CredentialError):
        await x509_client(path, make_certificate("another name", factory))


async def test_an_authority_counts_without_a_restart_and_only_while_it_is_trusted(
    x509_client: Connector, rest: Any, hub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_certificate("late", authority=True)
    device = await rest.device(authentication={"type": "certificateAuthority"})
    certificate = make_certificate(device.identity.path, made)
    with pytest.raises(CredentialError):
        await x509_client(device.identity.path, certificate)
    file = hub.home / "late.der"
    file.write_bytes(made.der)
    home = ["--home", str(hub.home)]
    assert await asyncio.to_thread(run, ["hub", "trust-ca", str(file), *home]) == 0
    await x509_client(device.identity.path, certificate)
    assert await asyncio.to_thread(run, ["hub", "trust-ca", "--remove", made.sha256, *home]) == 0
    assert await asyncio.to_thread(run, ["hub", "trust-ca", "--list", *home]) == 0
    assert made.sha256 not in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(CredentialError):
        await x509_client(device.identity.path, certificate)


async def test_a_client_certificate_disturbs_nobody_who_logs_in_by_token(hub: Any, rest: Any, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(hub.ca_file))
    context.load_cert_chain(*make_certificate("stranger").save(tmp_path))
    headers = {"Authorization": sas.token_for(hub.owner, time.time())}
    url = f"https://{hub.owner.host_name}/statistics/devices?api-version=2021-04-12"
    async with http_session() as session, session.get(url, headers=headers, ssl=context) as reply:
        assert reply.status == 200


async def test_an_edge_device_registers_its_modules_with_its_certificate(hub: Any, rest: Any, tmp_path: Path) -> None:
    certificate = make_certificate("edge")
    edge = await rest.device(capabilities={"iotEdge": True}, authentication=self_signed(certificate))
    context = ssl.create_default_context(cafile=str(hub.ca_file))
    context.load_cert_chain(*certificate.save(tmp_path))
    base = f"https://{hub.owner.host_name}"
    async with http_session() as session:
        for path, status in ((edge.identity.device_id, 200), ("somebody-else", 401)):
            url = f"{base}/devices/{path}/modules?api-version=2021-04-12"
            async with session.get(url, ssl=context) as reply:
                assert reply.status == status
                assert reply.headers.get("iothub-errorcode") == (None if status == 200 else "IotHubUnauthorized")


@pytest.mark.parametrize(("name", "status"), [("right", 204), ("wrong", 401), (None, 401)])
async def test_a_device_sends_over_https_with_its_certificate(
    hub: Any, rest: Any, tmp_path: Path, name: str | None, status: int
) -> None:
    certificates = {name: make_certificate(name) for name in ("right", "wrong")}
    device = await rest.device(authentication=self_signed(certificates["right"]))
    context = ssl.create_default_context(cafile=str(hub.ca_file))
    if name is not None:
        context.load_cert_chain(*certificates[name].save(tmp_path))
    path = f"/devices/{device.identity.device_id}/messages/events"
    url = f"https://{hub.owner.host_name}{path}?api-version=2021-04-12"
    async with http_session() as session, session.post(url, data=b"{}", ssl=context) as reply:
        assert reply.status == status
        assert reply.headers.get("iothub-errorcode") == (None if status == 204 else "IotHubUnauthorized")


@pytest.mark.parametrize("arguments", [[], ["--list", "--remove", "AB"], ["no-such-file"]])
def test_wrong_uses_of_trust_ca_are_told(hub: Any, arguments: list[str]) -> None:
    assert run(["hub", "trust-ca", "--home", str(hub.home), *arguments]) == 2


def test_trust_ca_refuses_what_is_no_authority(hub: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "leaf.pem"
    file.write_bytes(make_certificate("leaf").pem)
    assert run(["hub", "trust-ca", str(file), "--home", str(hub.home)]) == 2
    assert "not an authority" in capsys.readouterr().err
