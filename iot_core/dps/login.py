"""How a device names itself to the provisioning service: in the user name of an MQTT CONNECT,

    {idScope}/registrations/{registrationId}/api-version=2019-03-31[&ClientVersion=…]

and over AMQP, in the user name and the addresses of links, by what is left of the api-version.

Source: DPS documentation, "Communicate with your DPS using the MQTT protocol"; the device SDKs for Node.js and C. No
name of an IoT Hub is an ID scope, so the first segment tells such a log-in from a device's called "registrations".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from iot_core.identity import validate_registration_id

__all__ = ["ID_SCOPE", "ProvisioningLogin", "parse_login", "parse_registration"]

ID_SCOPE = re.compile(r"0[nc][a-z][0-9A-Fa-f]{8}", re.ASCII)
"""What an ID scope looks like; ours begin with 0ne as those of the public cloud do."""
_LOGIN = re.compile(r"([^/]+)/registrations/([^/]+)/\??(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvisioningLogin:
    """Who asks to be provisioned, and where; `api_version` is None when the client gave none."""

    id_scope: str
    registration_id: str
    api_version: str | None = None

    @property
    def resource(self) -> str:
        """What a token for this registration names."""
        return f"{self.id_scope}/registrations/{self.registration_id}"


def parse_registration(text: str) -> ProvisioningLogin | None:
    """The registration that "scope/registrations/id" names, or None when the text is something else.

    Raises IdentityError when it is, and the registration id is not allowed.
    """
    return parse_login(f"{text.rstrip('/')}/")


def parse_login(username: str) -> ProvisioningLogin | None:
    """The log-in, or None when the name is not one to the provisioning service.

    Raises IdentityError when it is, and the registration id is not allowed.
    """
    match = _LOGIN.fullmatch(username)
    if match is None or ID_SCOPE.fullmatch(match[1]) is None:
        return None
    query = dict(part.partition("=")[::2] for part in match[3].split("&"))
    return ProvisioningLogin(
        id_scope=match[1],
        registration_id=validate_registration_id(match[2]),
        api_version=unquote(query.get("api-version", "")) or None,
    )
