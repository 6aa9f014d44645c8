"""Connection strings of devices, modules and service policies.

Source: IoT Hub documentation, "Control access with shared access signatures", and the connection strings that the
Azure IoT SDKs read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from iot_core.errors import ConnectionStringError, EdgeyardError
from iot_core.identity import Identity, decode_key

__all__ = ["ConnectionString"]

MAX_LENGTH = 4096
"""Characters; the longest real one (ids of 128, a key of 88) stays under 700."""

_HOST = re.compile(r"[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?", re.ASCII)
_FIELDS = {
    "HostName": "host_name",
    "DeviceId": "device_id",
    "ModuleId": "module_id",
    "SharedAccessKeyName": "shared_access_key_name",
    "SharedAccessKey": "shared_access_key",
    "GatewayHostName": "gateway_host_name",
    "x509": "x509",
}
_BY_LOWER_CASE = {wire.lower(): wire for wire in _FIELDS}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionString:
    """A host and who connects: a device or module with a key or certificate, or a service policy with its key.

    `str` gives the text back, `repr` leaves the key out. Raises ConnectionStringError when built wrong.
    """

    host_name: str
    device_id: str | None = None
    module_id: str | None = None
    shared_access_key_name: str | None = None
    shared_access_key: str | None = field(default=None, repr=False)
    gateway_host_name: str | None = None
    x509: bool = False

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise ConnectionStringError(f"connection string: {problem}")

    @classmethod
    def parse(cls, text: str) -> ConnectionString:
        """Reads "HostName=…;DeviceId=…;SharedAccessKey=…" in any order; raises ConnectionStringError."""
        if len(text) > MAX_LENGTH:
            raise ConnectionStringError(f"connection string: longer than {MAX_LENGTH} characters")
        values = _split(text)
        if "HostName" not in values:
            raise ConnectionStringError("connection string: HostName is missing")
        x509 = values.pop("x509", "false").lower()
        if x509 not in ("true", "false"):
            raise ConnectionStringError("connection string: x509 must be true or false")
        arguments = {_FIELDS[wire]: value for wire, value in values.items()}
        return cls(host_name=arguments.pop("host_name"), x509=x509 == "true", **arguments)

    @property
    def identity(self) -> Identity | None:
        """The device or module, or None for a service policy."""
        return None if self.device_id is None else Identity(self.device_id, self.module_id)

    def __str__(self) -> str:
        values = ((wire, getattr(self, name)) for wire, name in _FIELDS.items())
        return ";".join(f"{wire}={'true' if value is True else value}" for wire, value in values if value)

    def _problem(self) -> str | None:
        for host in filter(None, (self.host_name, self.gateway_host_name)):
            if _HOST.fullmatch(host) is None:
                return f"{host[:80]!r} is not a host name"
        if not self.host_name:
            return "HostName is empty"
        if self.device_id is None:
            return self._service_problem()
        return self._device_problem()

    def _service_problem(self) -> str | None:
        if self.module_id is not None or self.x509 or self.gateway_host_name is not None:
            return "DeviceId is missing"
        if self.shared_access_key_name is None:
            return "DeviceId (for a device) or SharedAccessKeyName (for a policy) is missing"
        return self._key_problem() if self.shared_access_key else "SharedAccessKey is missing"

    def _device_problem(self) -> str | None:
        if bool(self.shared_access_key) == self.x509:
            return "needs either SharedAccessKey or x509=true beside DeviceId"
        try:
            _ = self.identity
        except EdgeyardError as error:
            return str(error)
        return self._key_problem()

    def _key_problem(self) -> str | None:
        try:
            decode_key(self.shared_access_key or "AA==")
        except EdgeyardError as error:
            return str(error)
        return None


def _split(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.strip().split(";"))):
        name, equals, value = part.partition("=")
        wire = _BY_LOWER_CASE.get(name.strip().lower())
        if not equals or wire is None:
            # Only the first words are shown: what follows may be a piece of a key.
            known = ", ".join(_FIELDS)
            shown = repr(name.strip()[:24]) if equals else "a part without '='"
            raise ConnectionStringError(f"connection string: {shown} is not known: use {known}")
        if wire in values:
            raise ConnectionStringError(f"connection string: {wire} is given twice")
        if not value.strip():
            raise ConnectionStringError(f"connection string: {wire} is empty")
        values[wire] = value.strip()
    return values
