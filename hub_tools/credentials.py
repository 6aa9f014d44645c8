"""Who calls the hub: a shared access policy, or an identity of Microsoft Entra ID.

Sources: IoT Hub documentation, "Control access to IoT Hub with shared access signatures" and "Control access to IoT Hub
by using Microsoft Entra ID".
"""

from __future__ import annotations

from typing import Any, Protocol

from iot_core import sas
from iot_core.clock import Clock, SystemClock
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, InputError

__all__ = ["Credential", "EntraCredential", "PolicyCredential"]

TOKEN_TTL_S = 3600
RENEWAL_MARGIN_S = 300
"""A token is renewed this long before it ends, so that none ends under way."""
ENTRA_SCOPE = "https://iothubs.azure.net/.default"


class Credential(Protocol):
    """Gives what the Authorization header holds."""

    @property
    def host_name(self) -> str:
        """Host name of the hub, with the port when it is not 443."""
        ...

    @property
    def name(self) -> str:
        """Who it is, for messages: `the policy service`."""
        ...

    async def authorization(self) -> str:
        """A header value that is good for at least some minutes."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class PolicyCredential:
    """A shared access policy's key; `ConnectionStringError` when the connection string is not a policy's."""

    def __init__(self, connection_string: ConnectionString, *, clock: Clock | None = None) -> None:
        if not connection_string.shared_access_key_name or not connection_string.shared_access_key:
            raise ConnectionStringError(
                "The connection string has no SharedAccessKeyName and SharedAccessKey; "
                "use one of a shared access policy of the hub, such as iothubowner, not a device's."
            )
        self._connection_string = connection_string
        self._clock = clock or SystemClock()
        self._token = ""
        self._renewal = 0.0

    @property
    def host_name(self) -> str:
        return self._connection_string.host_name

    @property
    def name(self) -> str:
        return f"the policy {self._connection_string.shared_access_key_name}"

    async def authorization(self) -> str:
        now = self._clock.now()
        if now >= self._renewal:
            self._token = sas.token_for(self._connection_string, now, ttl_s=TOKEN_TTL_S)
            self._renewal = now + TOKEN_TTL_S - RENEWAL_MARGIN_S
        return self._token

    async def close(self) -> None:
        """It holds nothing."""


class EntraCredential:
    """DefaultAzureCredential of azure-identity (the extra `azure`) for a hub named by its host alone.

    `source` stands in for azure-identity's asynchronous credential: `await source.get_token(scope)` gives an object
    with `token` and `expires_on`, and keeps it until it grows old.
    """

    def __init__(self, host_name: str, *, source: Any = None) -> None:
        self._host_name = host_name
        self._source = source if source is not None else _default_source()

    @property
    def host_name(self) -> str:
        return self._host_name

    @property
    def name(self) -> str:
        return "the signed-in Entra identity"

    async def authorization(self) -> str:
        try:
            token = await self._source.get_token(ENTRA_SCOPE)
        except Exception as error:  # azure-identity's errors come from a package that need not be there
            reason = str(error).splitlines()[0]
            raise InputError(f"no sign-in for {self._host_name}: {reason} Sign in with `az login`.") from None
        return f"Bearer {token.token}"

    async def close(self) -> None:
        await self._source.close()


def _default_source() -> Any:
    try:
        from azure.identity.aio import DefaultAzureCredential
    except ImportError:
        raise InputError(
            "signing in with Entra needs azure-identity: pip install 'edgeyard[azure]', or give a connection string"
        ) from None
    return DefaultAzureCredential()
