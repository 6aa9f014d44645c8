"""Who is calling, and may they: shared access signatures checked against policies, device keys and module keys.

Source: IoT Hub documentation, "Control access to IoT Hub with shared access signatures" and "Authenticate identities
with X.509 certificates". A token's host may be any name of this hub or the one the client called it by; only what
follows the host limits the token. A ``chain`` is the certificates that a client showed, DER, its own first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from iot_core import sas
from iot_core.clock import Clock
from iot_core.errors import HubError, IdentityError, SasError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.sas import SasToken
from iot_core.topics import ConnectInfo
from local_hub.auth.authorities import Authorities
from local_hub.auth.permissions import Permission
from local_hub.auth.policies import Policies
from local_hub.auth.x509 import X509_TYPES, check_certificate
from local_hub.config import HubConfig
from local_hub.json_text import dump
from local_hub.rows import Record, load_record
from transport.store import Store

__all__ = ["NEVER", "Authenticator", "Permission", "Principal"]

NEVER = math.inf
"""When a log-in by certificate expires: a connection that stands outlives its certificate."""
_EDGE_RIGHTS = Permission.REGISTRY_READ | Permission.REGISTRY_WRITE
_PORT = re.compile(r":\d+$")
_BEARER = "bearer "


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who was let in, until when.

    ``expires_at`` (unix seconds) already holds the allowance for clocks that differ, and is NEVER for a certificate.
    ``generation_id`` and
    ``auth_method`` are what the hub stamps on messages; for policies that call the service both are empty.
    """

    name: str
    rights: Permission
    expires_at: float
    identity: Identity | None = None
    generation_id: str = ""
    auth_method: str = ""
    model_id: str = ""
    """The Plug and Play model that a device named at log-in, empty for none."""


class Authenticator:
    """Judges tokens and certificates; reads keys and thumbprints from the store at each call, so a change counts at
    once.
    """

    def __init__(
        self, store: Store, clock: Clock, policies: Policies, authorities: Authorities, config: HubConfig
    ) -> None:
        self._store = store
        self._clock = clock
        self._policies = policies
        self._authorities = authorities
        self._hub_name = config.hub_name
        self._host_names = frozenset(name.lower() for name in config.host_names)

    def service(self, token_text: str, resource: str, permission: Permission, chain: Sequence[bytes] = ()) -> Principal:
        """A service call on ``resource`` ("host/devices/d") that needs ``permission``.

        An edge device's own token, or its certificate where it has no token, may read and write its own identity and
        its modules, as the IoT Edge daemon does. HubError IotHubUnauthorized without either, IotHubUnauthorizedAccess
        when it does not allow the call.
        """
        if not token_text:
            return self._edge_certificate(chain, resource, permission)
        token = _parsed(token_text)
        if token.policy is None:
            return self._edge_device(token, resource, permission)
        return self._by_policy(token, resource, permission)

    def device(self, identity: Identity, token_text: str, resource: str, chain: Sequence[bytes] = ()) -> Principal:
        """A device's or module's call on ``resource``: by its own token, that of a policy with DeviceConnect, or its
        certificate.

        HubError IotHubUnauthorized: nothing to go by, a bad token or certificate, an unknown or disabled identity, or
        one that logs in by the other of the two.
        """
        record = self._enabled(identity)
        if not token_text:
            return self._by_certificate(record, chain)
        try:
            token = _parsed(token_text)
            if token.policy is not None:
                expires_at = self._by_policy(token, resource, Permission.DEVICE_CONNECT).expires_at
                return _device_principal(record, token.policy, expires_at)
            self._check_own_key(token, record, resource)
        except HubError as error:
            raise hub_error("IotHubUnauthorized", error.message) from error
        return _device_principal(record, identity.path, _expiry(token))

    def mqtt_login(
        self, info: ConnectInfo, client_id: str, password: str | None, chain: Sequence[bytes] = ()
    ) -> Principal:
        """A CONNECT packet; the client id must be the identity in the user name. HubError IotHubUnauthorized."""
        if client_id != info.identity.path:
            raise hub_error(
                "IotHubUnauthorized", "The client id is not the device (or device/module) of the user name."
            )
        principal = self.device(info.identity, password or "", info.identity.resource(info.host), chain)
        return replace(principal, model_id=info.model_id or "")

    def _by_certificate(
        self, record: Record, chain: Sequence[bytes], rights: Permission = Permission.DEVICE_CONNECT
    ) -> Principal:
        kind = record.authentication["type"]
        if kind not in X509_TYPES:
            text = (
                f"Authorization header missing: '{record.identity}' needs a token, it does not log in by X.509 ({kind})"
            )
            raise hub_error("IotHubUnauthorized", text)
        trusted = self._authorities.certificates
        check_certificate(record.identity, record.authentication, chain, trusted, self._clock.now())
        return _device_principal(record, record.identity.path, NEVER, rights)

    def _by_policy(self, token: SasToken, resource: str, permission: Permission) -> Principal:
        policy = self._policies.get(token.policy or "")
        self._verify(token, resource, policy.keys)
        if permission not in policy.rights:
            raise _refused(f"Authorization rule '{policy.name}' does not allow access for '{resource}'")
        return Principal(name=policy.name, rights=policy.rights, expires_at=_expiry(token))

    def _edge_device(self, token: SasToken, resource: str, permission: Permission) -> Principal:
        record = self._own_subtree(token, resource)
        self._verify(token, resource, _keys(record))
        if permission not in _EDGE_RIGHTS:
            raise _refused(f"Device '{record.identity}' may only read and write its own identity and modules")
        return _device_principal(record, record.identity.path, _expiry(token), _EDGE_RIGHTS)

    def _edge_certificate(self, chain: Sequence[bytes], resource: str, permission: Permission) -> Principal:
        """A call without a token; only an edge device that shows its certificate may make one."""
        match _path_of(resource).split("/"):
            case ["devices", device_id, *_] if chain and permission in _EDGE_RIGHTS:
                record = self._edge_record(device_id, resource)
                return self._by_certificate(record, chain, _EDGE_RIGHTS)
        raise hub_error("IotHubUnauthorized", "Authorization header missing")

    def _own_subtree(self, token: SasToken, resource: str) -> Record:
        """The enabled edge device that the token and the resource both name."""
        return self._edge_record(_identity_in(token.resource).device_id, resource)

    def _edge_record(self, device_id: str, resource: str) -> Record:
        """The enabled edge device, whose own identity or modules ``resource`` must be."""
        path = _path_of(resource).split("/")
        if path[:2] != ["devices", device_id] or path[2:3] not in ([], ["modules"]):
            raise _refused(f"A token of device '{device_id}' does not allow access for '{resource}'")
        record = self._enabled(_identity(device_id, None))
        if not record.iot_edge:
            raise _refused(f"Device '{device_id}' is not an IoT Edge device and may not use the registry")
        return record

    def _check_own_key(self, token: SasToken, record: Record, resource: str) -> None:
        if _identity_in(token.resource) != record.identity:
            raise _refused(f"The token is not one for '{record.identity}'")
        if record.authentication["type"] in X509_TYPES:
            raise _refused(f"'{record.identity}' logs in with a certificate, not with a token of its own")
        self._verify(token, resource, _keys(record))

    def _enabled(self, identity: Identity) -> Record:
        """The identity's row, it and its device being enabled; HubError IotHubUnauthorized."""
        record = self._store.read(lambda connection: load_record(connection, identity))
        if record is None:
            text = f"IotHub '{self._hub_name}' does not contain the specified device '{identity}'"
            raise hub_error("IotHubUnauthorized", text)
        if record.status != "enabled":
            raise hub_error("IotHubUnauthorized", f"Device '{identity}' is disabled")
        if identity.module_id:
            self._enabled(Identity(identity.device_id))
        return record

    def _verify(self, token: SasToken, resource: str, keys: tuple[str, ...]) -> None:
        try:
            sas.verify(token, resource=self._as_named(token, resource), keys=keys, now=self._clock.now())
        except SasError as error:
            raise _refused(str(error)) from error

    def _as_named(self, token: SasToken, resource: str) -> str:
        """``resource`` with the token's own name for this hub; unchanged when that is no name of it."""
        host = token.resource.partition("/")[0]
        asked = resource.partition("/")[0]
        names = {*self._host_names, _bare(asked)}
        return f"{host}/{_path_of(resource)}" if _bare(host) in names else resource


def _parsed(token_text: str) -> SasToken:
    if token_text[: len(_BEARER)].lower() == _BEARER:
        raise _refused("Microsoft Entra tokens are not taken by this local hub: use a shared access signature.")
    try:
        return sas.parse(token_text)
    except SasError as error:
        raise _refused(str(error)) from error


def _identity_in(resource: str) -> Identity:
    """The device or module that "host/devices/d[/modules/m]" names."""
    match _path_of(resource).split("/"):
        case ["devices", device_id]:
            return _identity(device_id, None)
        case ["devices", device_id, "modules", module_id]:
            return _identity(device_id, module_id)
    raise _refused("The token names neither a policy (skn) nor a device")


def _identity(device_id: str, module_id: str | None) -> Identity:
    try:
        return Identity(device_id, module_id)
    except IdentityError as error:
        raise _refused(str(error)) from error


def _keys(record: Record) -> tuple[str, ...]:
    keys = record.authentication["symmetricKey"]
    return tuple(key for key in (keys["primaryKey"], keys["secondaryKey"]) if key)


def _device_principal(
    record: Record, name: str, expires_at: float, rights: Permission = Permission.DEVICE_CONNECT
) -> Principal:
    scope = "hub" if name != record.identity.path else "module" if record.identity.module_id else "device"
    kind, issuer = ("x509Certificate", "external") if expires_at == NEVER else ("sas", "iothub")
    method = {"scope": scope, "type": kind, "issuer": issuer, "acceptingIpFilterRule": None}
    return Principal(
        name=name,
        rights=rights,
        expires_at=expires_at,
        identity=record.identity,
        generation_id=record.generation_id,
        auth_method=dump(method),
    )


def _path_of(resource: str) -> str:
    return resource.partition("/")[2].strip("/")


def _bare(host: str) -> str:
    return _PORT.sub("", host).lower()


def _expiry(token: SasToken) -> float:
    return float(token.expiry + sas.MAX_CLOCK_SKEW_S)


def _refused(text: str) -> HubError:
    return hub_error("IotHubUnauthorizedAccess", text)
