from __future__ import annotations

import asyncio

from iot_core.identity import Identity
from local_hub.fronts.mqtt_sessions import MqttSessions, SessionKey
from local_hub.hub import Hub

FILTERS = {"$iothub/methods/POST/#": 1}


async def session_of(hub: Hub, identity: Identity) -> SessionKey:
    put = hub.registry.put_module(identity, {}, None) if identity.module_id else None
    made = await (put or hub.registry.put_device(identity.device_id, {}, None))
    return SessionKey(identity=identity, generation_id=made["generationId"])


def rows(hub: Hub) -> int:
    count: int = hub.store.read(lambda c: c.execute("SELECT count(*) FROM mqtt_sessions").fetchone()[0])
    return count


async def test_a_session_is_found_by_others_and_forgotten(hub: Hub) -> None:
    session, sessions = await session_of(hub, Identity("d")), MqttSessions(hub.store)
    await sessions.save(session, FILTERS)
    assert MqttSessions(hub.store).find(session) == FILTERS
    await sessions.forget(session)
    assert MqttSessions(hub.store).find(session) is None


async def test_a_change_is_found_before_it_is_on_disk(hub: Hub) -> None:
    session, sessions = await session_of(hub, Identity("d")), MqttSessions(hub.store)
    saving = asyncio.create_task(sessions.save(session, FILTERS))
    await asyncio.sleep(0)
    assert sessions.find(session) == FILTERS
    await saving


async def test_sessions_go_with_their_device(hub: Hub) -> None:
    sessions = MqttSessions(hub.store)
    device, module = await session_of(hub, Identity("d")), await session_of(hub, Identity("d", "m"))
    other = await session_of(hub, Identity("d2"))
    for session in (device, module, other):
        await sessions.save(session, FILTERS)
    await hub.registry.delete_module(module.identity, "*")
    assert rows(hub) == 2
    await hub.registry.delete_device("d", "*")
    assert rows(hub) == 1
    assert sessions.find(other) == FILTERS


async def test_a_device_made_anew_starts_without_and_the_old_one_s_session_is_not_kept(hub: Hub) -> None:
    sessions = MqttSessions(hub.store)
    old = await session_of(hub, Identity("d"))
    await hub.registry.delete_device("d", "*")
    new = await session_of(hub, Identity("d"))
    await sessions.save(old, FILTERS)
    assert (sessions.find(old), sessions.find(new), rows(hub)) == (None, None, 0)
