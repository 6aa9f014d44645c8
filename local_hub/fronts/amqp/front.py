"""The AMQP front: log-in, links and the end of connections (IoT Hub documentation, "Communicate with your IoT hub by
using the AMQP protocol").
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from iot_core.amqp import (
    Delivery,
    ErrorCondition,
    Link,
    Open,
    Receiver,
    Rejected,
    SaslRequested,
    Sender,
    Settings,
    error_condition,
    errors,
)
from iot_core.dps import ProvisioningLogin, parse_registration
from iot_core.dps.sasl_tpm import ASK_STORAGE_ROOT
from iot_core.errors import HubError, IdentityError
from iot_core.hub_errors import hub_error
from iot_core.sas import without_secrets
from local_hub.dps.attestation import Attempt, unauthorized
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.links import identity_of, open_link
from local_hub.fronts.amqp.node import RefusedLinkError
from local_hub.fronts.amqp.requests import Requests
from local_hub.fronts.amqp.tpm_login import TpmLogin
from local_hub.hub import Hub
from transport.amqp_server import AmqpServerProtocol

__all__ = ["AmqpFront"]

CREDIT = 500
"""Messages that a link takes before they are on disk."""
REQUEST_CREDIT = 50
"""Requests that a link takes before they are answered."""
TPM = "TPM"
"""The SASL mechanism of devices that have one and ask to be provisioned."""

_log = logging.getLogger(__name__)


class AmqpFront:
    """The handler of every AMQP connection; connections come from ``protocol()``, also those over WebSocket."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        settings = Settings(container_id=hub.config.hub_name)
        self._settings = replace(settings, sasl_mechanisms=(*settings.sasl_mechanisms, TPM))
        self._clients: set[Client] = set()
        self._forget_tokens = hub.token_clock.watch(self._tokens_aged)

    def protocol(self) -> asyncio.Protocol:
        """A protocol for one connection."""
        return AmqpServerProtocol(self, self._settings)

    async def stop(self) -> None:
        """End every connection; returns once what they had sent is taken."""
        self._forget_tokens()
        clients = list(self._clients)
        for client in clients:
            client.close()
            client.connection.close(error_condition(errors.CONNECTION_FORCED, "the hub stops"))
        for client in clients:
            await client.drained()
        await self._hub.messaging.drained()

    # -- the handler that transport.amqp_server calls

    def on_login(self, connection: AmqpServerProtocol, login: SaslRequested) -> None:
        """Let a client in, or refuse it and say why in the log."""
        client = self._client(connection)
        try:
            if login.mechanism == TPM:
                client.tpm_login = TpmLogin(self._hub.provisioning.registrations, login.response)
                connection.challenge_login(ASK_STORAGE_ROOT)
                return
            self._log_in(client, login)
        except HubError as error:
            _refuse_login(connection, login.mechanism, error)
        else:
            connection.accept_login()

    def on_login_response(self, connection: AmqpServerProtocol, response: bytes) -> None:
        """Go on with the log-in of a TPM."""
        client = self._client(connection)
        try:
            answer = client.tpm_login.answer(response) if client.tpm_login is not None else None
        except HubError as error:
            _refuse_login(connection, TPM, error)
            return
        if isinstance(answer, bytes):
            connection.challenge_login(answer)
        else:
            client.attempt, client.tpm_login = answer, None
            connection.accept_login()

    def on_open(self, connection: AmqpServerProtocol, peer: Open) -> None:
        self._client(connection)

    def on_attach(self, connection: AmqpServerProtocol, link: Link) -> None:
        client = self._client(connection)
        if client.is_unhindered:
            _attach(client, link)
        else:
            client.spawn(self._admit(client, link))

    async def _admit(self, client: Client, link: Link) -> None:
        """Let a link in where faults and throttles do; one that is lost is never answered."""
        try:
            await client.admit_link(identity_of(link))
        except HubError as error:
            _refuse(client, link, condition_of(error))
        else:
            if not link.is_ended:
                _attach(client, link)

    def on_detach(self, connection: AmqpServerProtocol, link: Link, error: ErrorCondition | None) -> None:
        self._client(connection).over(link)

    def on_delivery(self, connection: AmqpServerProtocol, link: Receiver, delivery: Delivery) -> None:
        if node := self._client(connection).node_of(link):
            try:
                node.delivered(delivery)
            except HubError as error:
                link.settle(delivery, Rejected(error=condition_of(error)))

    def on_credit(self, connection: AmqpServerProtocol, link: Sender) -> None:
        if node := self._client(connection).node_of(link):
            node.credited()

    def on_update(self, connection: AmqpServerProtocol, link: Link, delivery: Delivery) -> None:
        if isinstance(link, Sender) and (node := self._client(connection).node_of(link)):
            node.updated(delivery)

    def on_disconnect(self, connection: AmqpServerProtocol, clean: bool, reason: str) -> None:
        client = self._client(connection)
        client.close()
        self._clients.discard(client)

    # -- log-in

    def _tokens_aged(self) -> None:
        for client in self._clients:
            client.grants.tokens_aged()

    def _client(self, connection: AmqpServerProtocol) -> Client:
        if not isinstance(connection.session, Client):
            connection.session = Client(self._hub, connection)
            self._clients.add(connection.session)
        return connection.session

    def _log_in(self, client: Client, login: SaslRequested) -> None:
        """HubError IotHubUnauthorized or IotHubUnauthorizedAccess when the client may not come in."""
        if login.mechanism == "PLAIN" and (registration := _registration(login)) is not None:
            client.attempt = Attempt(login=registration, token=login.password or "")
            self._hub.provisioning.admission.check_login(registration.registration_id)
            self._hub.provisioning.registrations.check(client.attempt)
        elif login.mechanism == "PLAIN":
            name, at, _hub = (login.username or "").partition("@sas.")
            if at:
                client.grants.put("", login.password or "")
            else:
                client.grants.put_key(name, login.password or "")
        elif login.mechanism == "EXTERNAL" and not client.connection.peer_chain_der:
            raise hub_error("IotHubUnauthorized", "SASL EXTERNAL needs a client certificate in the TLS handshake.")


def _registration(login: SaslRequested) -> ProvisioningLogin | None:
    """The registration that a user name is of; HubError Unauthorized for one that cannot be."""
    try:
        return parse_registration(login.username or "")
    except IdentityError as error:
        raise unauthorized() from error


def _refuse_login(connection: AmqpServerProtocol, mechanism: str, error: HubError) -> None:
    _log.info("SASL %s refused: %s", mechanism, without_secrets(str(error)))
    connection.refuse_login()


def _attach(client: Client, link: Link) -> None:
    """Open a link, or refuse it and say why in the log."""
    try:
        node = open_link(client, link)
    except HubError as error:
        _refuse(client, link, condition_of(error))
    except RefusedLinkError as refusal:
        _refuse(client, link, refusal.condition)
    else:
        client.add(link, node)
        link.send_attach(offered_capabilities=getattr(node, "capabilities", None))
        if isinstance(link, Receiver):
            link.keep_credit(REQUEST_CREDIT if isinstance(node, Requests) else CREDIT)


def _refuse(client: Client, link: Link, condition: ErrorCondition) -> None:
    client.over(link)
    _log.info("link %r refused: %s", without_secrets(link.name), without_secrets(condition.description or ""))
    link.refuse(condition)
