"""The environment variables that point SDKs and tools at a local hub (``edgeyard hub env``).

The trust variables name a bundle that holds the system's roots too, so exporting them breaks nothing else.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from iot_core.errors import InputError
from local_hub.auth.permissions import DEFAULT_RIGHTS
from local_hub.home import OWNER, HubHome

__all__ = ["FORMATS", "HubNotSetUpError", "format_json", "format_shell", "hub_environment"]


class HubNotSetUpError(InputError):
    """The data folder holds no hub."""


def hub_environment(home: Path, *, policy: str = OWNER) -> dict[str, str]:
    """The variables for the hub whose data folder is ``home``; HubNotSetUpError when none was ever started there.

    The hub need not be running. IOTHUB_CONNECTION_STRING is that of `policy` (InputError when there is none),
    DPS_CONNECTION_STRING that of the provisioning service's policy provisioningserviceowner, EVENTHUB_CONNECTION_STRING
    that of the policy service on the built-in endpoint. IOTHUB_STORAGE_CONNECTION_STRING, that of the account which
    uploaded files are in, is only there when the hub keeps them itself.
    """
    files = HubHome(home)
    needed = (files.owner_connection_string, files.eventhub_connection_string, files.bundle, files.provisioning)
    if not all(file.is_file() for file in needed):
        raise HubNotSetUpError(f"no hub has been set up in {home}: start one with edgeyard hub run --home {home}")
    own = files.policy_connection_string(policy)
    if policy not in DEFAULT_RIGHTS or not own.is_file():
        raise InputError(f"the hub has no policy {policy!r}; it has {', '.join(DEFAULT_RIGHTS)}")
    bundle = str(files.bundle.resolve())
    provisioning = json.loads(files.provisioning.read_text(encoding="ascii"))
    return {
        "IOTHUB_CONNECTION_STRING": own.read_text(encoding="ascii").strip(),
        "EVENTHUB_CONNECTION_STRING": files.eventhub_connection_string.read_text(encoding="ascii").strip(),
        **_storage(files),
        "PROVISIONING_HOST": provisioning["host"],
        "PROVISIONING_IDSCOPE": provisioning["id_scope"],
        "DPS_CONNECTION_STRING": provisioning["connection_string"],
        "IOTHUB_CA_FILE": str(files.authority.resolve()),
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "NODE_EXTRA_CA_CERTS": bundle,
    }


def _storage(files: HubHome) -> dict[str, str]:
    file = files.storage_connection_string
    return {"IOTHUB_STORAGE_CONNECTION_STRING": file.read_text(encoding="ascii").strip()} if file.is_file() else {}


def format_shell(variables: Mapping[str, str]) -> str:
    """Lines of ``export NAME=value`` for a POSIX shell, values quoted where they need it."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def format_json(variables: Mapping[str, str]) -> str:
    """One JSON object, indented."""
    return json.dumps(dict(variables), indent=2)


FORMATS = {"shell": format_shell, "json": format_json}
"""What ``--format`` takes."""
