from __future__ import annotations

from typing import Any

import pytest

from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError
from iot_core.identity import Identity, generate_key
from iot_core.topics import ConnectInfo
from local_hub.auth.authenticator import Permission, Principal
from local_hub.auth.permissions import DEFAULT_RIGHTS
from local_hub.hub import Hub

HOST = "127.0.0.1"
REGISTRY = "127.0.0.1:8443/devices/d1"


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


def policy_token(hub: Hub, name: str, resource: str = HOST, ttl: int = 600) -> str:
    return sas.sign(resource, hub.policies.get(name).primary_key, int(hub.clock.now()) + ttl, name)


async def device_token(hub: Hub, identity: Identity, ttl: int = 600, host: str = HOST) -> str:
    """A token of a new identity's own; makes the identity (an edge device when its id begins with edge)."""
    if identity.module_id is None:
        body = {"capabilities": {"iotEdge": identity.device_id.startswith("edge")}}
        made = await hub.registry.put_device(identity.device_id, body, None)
    else:
        made = await hub.registry.put_module(identity, {}, None)
    key = made["authentication"]["symmetricKey"]["secondaryKey"]
    return sas.sign(identity.resource(host), key, int(hub.clock.now()) + ttl)


def log_in(hub: Hub, identity: Identity, password: str | None, client_id: str | None = None) -> Principal:
    return hub.auth.mqtt_login(ConnectInfo(HOST, identity), client_id or identity.path, password)


class TestService:
    @pytest.mark.parametrize("name", DEFAULT_RIGHTS)
    async def test_each_policy_allows_what_it_holds_and_nothing_more(self, hub: Hub, name: str) -> None:
        token = policy_token(hub, name)
        for permission in Permission:
            if permission in DEFAULT_RIGHTS[name]:
                assert hub.auth.service(token, REGISTRY, permission).name == name
            else:
                with refusal("IotHubUnauthorizedAccess"):
                    hub.auth.service(token, REGISTRY, permission)

    async def test_the_connection_string_signs_tokens_that_are_taken(self, hub: Hub) -> None:
        text = hub.policies.connection_string("LOCALHOST:8443", "service")
        token = sas.token_for(ConnectionString.parse(text), hub.clock.now())
        assert hub.auth.service(token, "127.0.0.1:8443/twins/d1", Permission.SERVICE_CONNECT)

    async def test_a_missing_token_is_told_apart(self, hub: Hub) -> None:
        with refusal("IotHubUnauthorized"):
            hub.auth.service("", REGISTRY, Permission.REGISTRY_READ)

    async def test_bad_tokens_are_refused(self, hub: Hub, clock: ManualClock) -> None:
        token = policy_token(hub, "iothubowner")
        wrong = [
            "Basic abc",
            token.replace("skn=iothubowner", "skn=nobody"),
            token.replace("skn=iothubowner", "skn=service"),
            policy_token(hub, "iothubowner", f"{HOST}/devices/other"),
            policy_token(hub, "iothubowner", "elsewhere.example"),
            sas.sign(HOST, generate_key(), int(clock.now()) + 600, "iothubowner"),
        ]
        for text in wrong:
            with refusal("IotHubUnauthorizedAccess"):
                hub.auth.service(text, REGISTRY, Permission.REGISTRY_READ)

    async def test_a_token_ends_five_minutes_after_its_expiry(self, hub: Hub, clock: ManualClock) -> None:
        token = policy_token(hub, "iothubowner", ttl=60)
        clock.advance(359)
        principal = hub.auth.service(token, REGISTRY, Permission.REGISTRY_READ)
        assert principal.expires_at == clock.now() + 1
        clock.advance(2)
        with refusal("IotHubUnauthorizedAccess"):
            hub.auth.service(token, REGISTRY, Permission.REGISTRY_READ)

    async def test_policies_keep_their_keys_over_a_restart(self, hub: Hub) -> None:
        before = hub.policies.get("device")
        await hub.policies.load()
        assert hub.policies.get("device") == before
        assert before.primary_key not in repr(before)


class TestEdgeDaemon:
    OWN = "127.0.0.1/devices/edge1"

    async def test_it_may_read_and_write_its_own_identity_and_modules(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("edge1"))
        for resource in (self.OWN, f"{self.OWN}/modules", f"{self.OWN}/modules/$edgeHub"):
            for permission in (Permission.REGISTRY_READ, Permission.REGISTRY_WRITE):
                assert hub.auth.service(token, resource, permission).identity == Identity("edge1")

    async def test_it_may_do_nothing_else(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("edge1"))
        for resource in (
            "127.0.0.1/devices",
            "127.0.0.1/devices/edge10",
            "127.0.0.1/twins/edge1",
            f"{self.OWN}/messages",
        ):
            with refusal("IotHubUnauthorizedAccess"):
                hub.auth.service(token, resource, Permission.REGISTRY_READ)
        with refusal("IotHubUnauthorizedAccess"):
            hub.auth.service(token, self.OWN, Permission.SERVICE_CONNECT)

    async def test_a_device_that_is_no_edge_device_may_not(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("d1"))
        with refusal("IotHubUnauthorizedAccess"):
            hub.auth.service(token, "127.0.0.1/devices/d1", Permission.REGISTRY_READ)


class TestMqttLogin:
    async def test_a_device_logs_in_with_its_own_key(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("d1"))
        principal = log_in(hub, Identity("d1"), token)
        assert principal.identity == Identity("d1")
        assert principal.generation_id == hub.registry.get_device("d1")["generationId"]
        assert '"scope":"device"' in principal.auth_method
        assert principal.expires_at == hub.clock.now() + 900

    async def test_a_module_logs_in_with_its_own_key(self, hub: Hub) -> None:
        await device_token(hub, Identity("d1"))
        token = await device_token(hub, Identity("d1", "m"))
        assert '"scope":"module"' in log_in(hub, Identity("d1", "m"), token).auth_method

    async def test_a_policy_with_device_connect_logs_in_any_device_that_exists(self, hub: Hub) -> None:
        await device_token(hub, Identity("d1"))
        assert '"scope":"hub"' in log_in(hub, Identity("d1"), policy_token(hub, "device")).auth_method
        for identity, policy in ((Identity("nobody"), "device"), (Identity("d1"), "service")):
            with refusal("IotHubUnauthorized"):
                log_in(hub, identity, policy_token(hub, policy))

    async def test_the_client_id_must_be_the_identity(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("d1"))
        with refusal("IotHubUnauthorized"):
            log_in(hub, Identity("d1"), token, client_id="d2")

    async def test_a_token_of_another_identity_is_refused(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("d1"))
        await device_token(hub, Identity("d2"))
        await device_token(hub, Identity("d1", "m"))
        for identity in (Identity("d2"), Identity("d1", "m")):
            with refusal("IotHubUnauthorized"):
                log_in(hub, identity, token)

    async def test_a_disabled_device_is_refused_with_its_modules(self, hub: Hub) -> None:
        await device_token(hub, Identity("d1"))
        token = await device_token(hub, Identity("d1", "m"))
        made = hub.registry.get_device("d1")
        await hub.registry.put_device("d1", {**made, "status": "disabled"}, "*")
        with refusal("IotHubUnauthorized"):
            log_in(hub, Identity("d1", "m"), token)

    async def test_new_keys_count_at_once(self, hub: Hub) -> None:
        token = await device_token(hub, Identity("d1"))
        await hub.registry.put_device("d1", {}, "*")
        with refusal("IotHubUnauthorized"):
            log_in(hub, Identity("d1"), token)

    async def test_a_login_without_a_token_is_refused_by_name(self, hub: Hub) -> None:
        await device_token(hub, Identity("d1"))
        with pytest.raises(HubError, match=r"X\.509"):
            log_in(hub, Identity("d1"), None)
