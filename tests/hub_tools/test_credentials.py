"""Who calls the hub: a policy's key, or a signed-in identity."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hub_tools.credentials import EntraCredential, PolicyCredential
from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, InputError

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
POLICY = ConnectionString(host_name="h", shared_access_key_name="service", shared_access_key=KEY)


class Source:
    """Stands in for azure-identity."""

    def __init__(self, error: str = "") -> None:
        self._error = error

    async def get_token(self, scope: str) -> SimpleNamespace:
        if self._error:
            raise RuntimeError(self._error)
        return SimpleNamespace(token=f"for {scope}", expires_on=0)

    async def close(self) -> None: ...


async def test_a_policys_token_is_kept_until_shortly_before_it_ends() -> None:
    clock = ManualClock(1_000.0)
    credential = PolicyCredential(POLICY, clock=clock)
    first = await credential.authorization()
    clock.advance(3_000)
    assert await credential.authorization() == first
    clock.advance(400)
    assert sas.parse(await credential.authorization()).expiry > sas.parse(first).expiry


def test_a_devices_connection_string_is_no_operators() -> None:
    with pytest.raises(ConnectionStringError, match="iothubowner"):
        PolicyCredential(ConnectionString(host_name="h", device_id="d", shared_access_key=KEY))


async def test_an_entra_token_is_sent_as_a_bearer_token() -> None:
    credential = EntraCredential("h.azure-devices.net", source=Source())
    assert await credential.authorization() == "Bearer for https://iothubs.azure.net/.default"


async def test_a_failed_sign_in_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"no token Sign in with `az login`"):
        await EntraCredential("h.azure-devices.net", source=Source("no token\nlong details")).authorization()
