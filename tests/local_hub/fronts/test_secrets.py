"""What a session leaves on disk: no key and no token in the log, even the most talkative, and files for the owner."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from iot_core import sas
from iot_core.identity import generate_key
from tests.local_hub.http_sessions import http_session
from transport.mqtt_client import ConnectionLost, ConnectRefused, MqttClient


async def session(hub: Any, rest: Any) -> list[str]:
    """Uses the hub rightly and wrongly by every door; gives every secret that it showed."""
    device = await rest.device()
    stranger = replace(device, key=generate_key())
    module = await rest.device(module="m")
    owner, admin = hub.owner, (hub.home / "hub" / "admin.token").read_text()
    owner_token = sas.token_for(owner, time.time())
    tokens = [one.token() for one in (device, stranger, module)]
    for one, token in zip((device, stranger, module), tokens, strict=True):
        await log_in(hub, one, username=f"{hub.host}/{one.identity.path}/?api-version=2021-04-12", password=token)
    await log_in(hub, device, username=f"{hub.host}/{tokens[0]}/?sig={device.key}", password=tokens[0])
    await log_in(hub, device, username=f"{hub.host}/{device.identity.path}", password=device.key)
    await log_in(hub, device, client_id=device.connection_string, username=tokens[0], password=tokens[0])
    registration = f"{tokens[0]}/registrations/r/api-version=2019-03-31"
    await log_in(hub, device, client_id=tokens[0], username=registration, password=tokens[0])
    await talk_of_secrets(hub, device, tokens[0])
    for token in (*tokens, device.key, f"Bearer {owner.shared_access_key}", owner_token[:-4], "SharedAccessSignature"):
        await rest.call("GET", "/devices/nobody", token=token)
    keys = {"primaryKey": generate_key(), "secondaryKey": "c2hvcnQta2V5LXRoYXQtaXMtcmVmdXNlZA"}
    body = {"deviceId": "x", "authentication": {"type": "sas", "symmetricKey": keys}}
    await rest.call("PUT", "/devices/x", body)
    await rest.call("PUT", "/devices/x", data=json.dumps(body).encode()[:-3])
    await by_the_admin_door(hub, admin)
    secrets = [device.key, stranger.key, module.key, owner.shared_access_key, admin, *keys.values()]
    return [*secrets, *(sas.parse(token).signature for token in (*tokens, owner_token))]


async def log_in(hub: Any, device: Any, **given: Any) -> None:
    client = MqttClient()
    with suppress(ConnectRefused):
        await client.connect(hub.host, 8883, **({"client_id": device.identity.path, "ssl": hub.tls} | given))
    await client.close()


async def talk_of_secrets(hub: Any, device: Any, token: str) -> None:
    """A device that logs in and then publishes to a topic, and asks for one, with its token in it."""
    for misuse in (lambda client: client.publish(token, b"", qos=0), lambda client: client.subscribe(f"a/{token}")):
        ended = asyncio.Event()
        client = MqttClient(on_disconnect=lambda _cause, ended=ended: ended.set())
        username = f"{hub.host}/{device.identity.path}/?api-version=2021-04-12"
        options = {"client_id": device.identity.path, "username": username, "password": device.token()}
        await client.connect(hub.host, 8883, ssl=hub.tls, **options)
        with suppress(ConnectionLost):
            await misuse(client)
        await ended.wait()


async def by_the_admin_door(hub: Any, token: str) -> None:
    running = hub.running
    url = f"http://{running['admin_host']}:{running['admin_port']}/status"
    async with http_session() as http:
        for given, status in ((token, 200), (token[:-1], 401)):
            async with http.get(url, headers={"Authorization": f"Bearer {given}"}) as reply:
                assert reply.status == status


def spellings(secret: str) -> Iterator[str]:
    """A secret as it may stand in a text, without the end that a shortened line may lack."""
    for text in {secret, quote(secret, safe=""), unquote(secret)}:
        yield text[:20]


async def test_no_key_and_no_token_is_ever_in_the_log(own_hub_with: Any, rest_of: Any) -> None:
    hub = await asyncio.to_thread(own_hub_with, "--log-level", "DEBUG")
    secrets = await session(hub, rest_of(hub))
    log = (hub.home / "stderr").read_text()
    assert "connection refused" in log
    assert not [secret for secret in secrets for text in spellings(secret) if text in log]


async def test_everything_on_disk_is_the_owner_s_alone(own_hub_with: Any, rest_of: Any) -> None:
    hub = await asyncio.to_thread(own_hub_with)
    await session(hub, rest_of(hub))
    modes = modes_below(hub.home / "hub")
    assert {"hub.db", "hub.db-wal", "server.key", "ca.key", "admin.token"} <= modes["files"].keys()
    assert set(modes["files"].values()) == {0o600}
    assert set(modes["folders"].values()) == {0o700}


def modes_below(folder: Path) -> dict[str, dict[str, int]]:
    """The permissions of a folder and all in it, by name."""
    found: dict[str, dict[str, int]] = {"files": {}, "folders": {}}
    for path in (folder, *folder.rglob("*")):
        found["folders" if path.is_dir() else "files"][path.name] = stat.S_IMODE(path.stat().st_mode)
    return found
