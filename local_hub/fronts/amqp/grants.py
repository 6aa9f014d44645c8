"""What one connection may do: the tokens that were put on it, by claims-based security, SASL PLAIN or a certificate.

A token counts for the links that it let in until it expires; putting a new one for the same audience renews it (IoT
Hub documentation, "Control access to IoT Hub by using shared access signatures"). Tokens whose resource is a URL
("sb://host/name") are those of Event Hubs clients, some of which sign with the text of the key instead of its bytes.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from iot_core import sas
from iot_core.amqp import Link
from iot_core.errors import HubError, IdentityError, SasError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.sas import SasToken
from local_hub.auth.authenticator import NEVER, Principal
from local_hub.auth.permissions import Permission
from local_hub.hub import Hub

__all__ = ["Grant", "Grants"]

MOST_GRANTS = 1000
"""Tokens on one connection: a gateway that speaks for many devices puts one for each."""


@dataclass(eq=False, kw_only=True, slots=True)
class Grant:
    """A token that was found good. ``path`` is its resource without scheme and host, in lower case."""

    path: str
    rights: Permission
    expires_at: float
    token: str = field(repr=False)
    links: set[Link] = field(default_factory=set, repr=False)
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def reaches(self, path: str) -> bool:
        """Whether it covers a path of this hub."""
        return sas.covers(f"hub/{self.path}".rstrip("/"), f"hub/{path.strip('/').lower()}")


class Grants:
    """The tokens of one connection; ``end_link`` ends a link whose token has expired. ``chain`` is the client's."""

    def __init__(self, hub: Hub, chain: Sequence[bytes], end_link: Callable[[Link, HubError], None]) -> None:
        self._hub = hub
        self._chain = chain
        self._end_link = end_link
        self._by_audience: dict[str, Grant] = {}

    def __bool__(self) -> bool:
        """Whether any token was put."""
        return bool(self._by_audience)

    def put(self, audience: str, token_text: str) -> None:
        """Judge a token and keep it for ``audience``. HubError IotHubUnauthorized or IotHubUnauthorizedAccess."""
        token = _parsed(token_text)
        rights, expires_at = self._judged(token, token_text)
        grant = Grant(path=_path_of(token.resource), rights=rights, expires_at=expires_at, token=token_text)
        if audience not in self._by_audience and len(self._by_audience) >= MOST_GRANTS:
            raise hub_error("IotHubUnauthorizedAccess", f"A connection holds {MOST_GRANTS} tokens at most.")
        previous = self._by_audience.pop(audience, None)
        if previous is not None:
            grant.links = previous.links
            _disarm(previous)
        self._by_audience[audience] = grant
        self._arm(audience, grant)

    def put_key(self, policy_name: str, key: str) -> None:
        """A policy and its key itself, as SASL PLAIN has them for Event Hubs. HubError IotHubUnauthorizedAccess."""
        policy = self._hub.policies.get(policy_name)
        # A list, not a generator: every key is tried, so that the time does not tell which one matched.
        matches = [hmac.compare_digest(key.encode(), known.encode()) for known in policy.keys]
        if not any(matches):
            raise hub_error("IotHubUnauthorizedAccess", f"That is no key of the policy {policy.name!r}.")
        self._by_audience[""] = Grant(path="", rights=policy.rights, expires_at=NEVER, token="")

    def remove(self, audience: str) -> None:
        """Take a token away; the links that it let in stay until it would have expired."""
        grant = self._by_audience.get(audience)
        if grant is not None:
            grant.rights = Permission(0)

    def service(self, link: Link, path: str) -> None:
        """Let a service's link in; HubError IotHubUnauthorizedAccess without a token for it."""
        self._hub.admission.check_login(None)
        for grant in self._by_audience.values():
            if Permission.SERVICE_CONNECT in grant.rights and grant.reaches(path):
                grant.links.add(link)
                return
        raise hub_error("IotHubUnauthorizedAccess", f"Put a token of a policy with ServiceConnect that covers {path}.")

    def device(self, link: Link, identity: Identity, host: str) -> Principal:
        """Let a link of a device or module in, by a token or its certificate; HubError IotHubUnauthorized."""
        self._hub.admission.check_login(identity.device_id)
        refusal = None
        resource = identity.resource(host)
        path = _path_of(resource)
        for grant in self._by_audience.values():
            if Permission.DEVICE_CONNECT in grant.rights and grant.reaches(path) and grant.token:
                try:
                    principal = self._hub.auth.device(identity, grant.token, resource)
                except HubError as error:
                    refusal = error
                else:
                    grant.links.add(link)
                    return principal
        if refusal is None and self._chain:
            return self._hub.auth.device(identity, "", resource, self._chain)
        raise refusal or hub_error("IotHubUnauthorized", f"Put a token for {identity} before its links.")

    def forget(self, link: Link) -> None:
        """A link is over."""
        for grant in self._by_audience.values():
            grant.links.discard(link)

    def close(self) -> None:
        """The connection is over."""
        for grant in self._by_audience.values():
            _disarm(grant)
        self._by_audience.clear()

    def _judged(self, token: SasToken, token_text: str) -> tuple[Permission, float]:
        """What a token gives, and until when."""
        if token.policy is None:
            principal = self._hub.auth.device(_identity_in(token.resource), token_text, token.resource)
            return principal.rights, principal.expires_at
        policy = self._hub.policies.get(token.policy)
        keys: tuple[str, ...] = policy.keys
        if "://" in token.resource:
            keys += tuple(base64.b64encode(key.encode()).decode() for key in keys)
        try:
            sas.verify(token, resource=token.resource, keys=keys, now=self._hub.token_clock.now())
        except SasError as error:
            raise hub_error("IotHubUnauthorizedAccess", str(error)) from error
        return policy.rights, float(token.expiry + sas.MAX_CLOCK_SKEW_S)

    def tokens_aged(self) -> None:
        """The clock of tokens was moved."""
        for audience, grant in self._by_audience.items():
            self._arm(audience, grant)

    def _arm(self, audience: str, grant: Grant) -> None:
        _disarm(grant)
        if grant.expires_at != NEVER:
            remaining = max(grant.expires_at - self._hub.token_clock.now(), 0.0)
            grant.timer = asyncio.get_running_loop().call_later(remaining, self._expired, audience, grant)

    def _expired(self, audience: str, grant: Grant) -> None:
        if self._by_audience.get(audience) is grant:
            del self._by_audience[audience]
        error = hub_error("IotHubUnauthorized", "The token of this link has expired: put a new one and attach again.")
        for link in list(grant.links):
            self._end_link(link, error)


def _disarm(grant: Grant) -> None:
    if grant.timer is not None:
        grant.timer.cancel()
        grant.timer = None


def _parsed(text: str) -> SasToken:
    try:
        return sas.parse(text)
    except SasError as error:
        raise hub_error("IotHubUnauthorizedAccess", str(error)) from error


def _identity_in(resource: str) -> Identity:
    match resource.split("/")[1:]:
        case ["devices", device_id]:
            module_id = None
        case ["devices", device_id, "modules", module_id]:
            pass
        case _:
            raise hub_error("IotHubUnauthorizedAccess", "The token names neither a policy (skn) nor a device.")
    try:
        return Identity(device_id, module_id)
    except IdentityError as error:
        raise hub_error("IotHubUnauthorizedAccess", str(error)) from error


def _path_of(resource: str) -> str:
    """The resource without scheme and host."""
    _, scheme, rest = resource.partition("://")
    return (rest if scheme else resource).partition("/")[2].strip("/").lower()
