from __future__ import annotations

from typing import Any

import pytest

from tests.local_hub.http_sessions import http_session


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eA=="}])
async def test_the_door_stays_shut_without_its_token(admin_door: Any, headers: dict[str, str]) -> None:
    url, _ = admin_door
    async with http_session() as session:
        for path in ("/events", "/status"):
            assert (await session.get(url(path), headers=headers)).status == 401
        assert (await session.post(url("/stop"), headers=headers)).status == 401


async def test_status_tells_where_the_hub_is_and_what_it_holds(hub: Any, admin_door: Any, rest: Any) -> None:
    await rest.device()
    url, headers = admin_door
    async with http_session() as session, session.get(url("/status"), headers=headers) as reply:
        status = await reply.json()
    assert status["pid"] == hub.process.pid
    assert status["host"] == hub.host
    assert status["totalDeviceCount"] >= 1


async def test_the_stream_keeps_to_the_device_asked_for(rest: Any, trace: Any) -> None:
    wanted, other = await rest.device(), await rest.device()
    async with trace(wanted.identity.device_id) as events:
        for device in (other, wanted):
            await rest.call("PATCH", f"/twins/{device.identity.device_id}", {"tags": {"a": 1}})
        event = await events.until(lambda _event: True)
    assert event["deviceId"] == wanted.identity.device_id
    assert event["source"] == "twinChangeEvents"


async def test_other_paths_are_404(admin_door: Any) -> None:
    url, headers = admin_door
    async with http_session() as session:
        assert (await session.get(url("/"), headers=headers)).status == 404
        assert (await session.get(url("/stop"), headers=headers)).status == 404


async def test_stop_ends_the_hub_and_its_streams(own_hub: Any) -> None:
    hub = own_hub()
    running, token = hub.running, (hub.home / "hub" / "admin.token").read_text()
    base, headers = f"http://{running['admin_host']}:{running['admin_port']}", {"Authorization": f"Bearer {token}"}
    async with http_session() as session, session.get(f"{base}/events", headers=headers) as stream:
        assert (await session.post(f"{base}/stop", headers=headers)).status == 202
        assert await stream.read() == b""
    assert hub.process.wait(timeout=10) == 0
