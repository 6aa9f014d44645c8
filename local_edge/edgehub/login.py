"""Who may log in to the edge hub: modules of this device, each with a token signed by its own key.

Rules: IoT Edge documentation, "Authenticate a downstream device to Azure IoT Hub" and the edge hub's device scope: the
audience may carry the hub's name or the gateway's; ids are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from iot_core import sas
from iot_core.clock import Clock
from iot_core.errors import SasError, SasReason
from iot_core.identity import Identity
from local_edge.errors import EdgeError
from local_edge.keys import KeyStore

__all__ = ["Login", "LoginRefusedError", "LoginRules"]


class LoginRefusedError(EdgeError):
    """A client is not let in; the message says why, for the log."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who logged in, and the unix second until which the token holds."""

    module: str
    expires_at: int


class LoginRules:
    """Checks tokens against the keys of this edge's module identities."""

    def __init__(self, *, device: str, hosts: Iterable[str], keys: KeyStore, clock: Clock) -> None:
        self._device = device
        self._hosts = tuple(hosts)
        self._keys = keys
        self._clock = clock

    def check(self, identity: Identity, token_text: str) -> Login:
        """The login of `identity` with this token; LoginRefusedError otherwise."""
        module = identity.module_id
        if identity.device_id != self._device:
            raise LoginRefusedError(f"{identity} is not of this edge device; downstream devices are not supported yet")
        known = self._keys.get(module) if module else None
        if module is None or known is None:
            raise LoginRefusedError(f"{identity} is not a module of the deployment")
        try:
            token = sas.parse(token_text)
            self._verify(token, identity, known.key)
        except SasError as error:
            raise LoginRefusedError(f"{identity}: {error}") from None
        return Login(module=module, expires_at=token.expiry)

    def _verify(self, token: sas.SasToken, identity: Identity, key: str) -> None:
        """The token must cover the identity under one of the names of this edge."""
        refusal: SasError | None = None
        for host in self._hosts:
            try:
                return sas.verify(token, resource=identity.resource(host), keys=[key], now=self._clock.now())
            except SasError as error:
                refusal = error
                if error.reason is not SasReason.RESOURCE:
                    break
        assert refusal is not None
        raise refusal
