"""Ids and keys of devices and modules.

Sources: IoT Hub developer guide, "Understand the identity registry" (id characters, key lengths); Device
Provisioning Service, "Symmetric key attestation" (group keys).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass

from iot_core.errors import IdentityError

__all__ = [
    "SYSTEM_MODULES",
    "Identity",
    "decode_key",
    "derive_device_key",
    "generate_key",
    "validate_device_id",
    "validate_key",
    "validate_module_id",
    "validate_registration_id",
]

SYSTEM_MODULES = frozenset({"$edgeAgent", "$edgeHub"})
"""The only module ids that may start with $; IoT Hub itself makes them on an edge device."""

GENERATED_KEY_BYTES = 32
"""What IoT Hub generates: 44 characters of base64."""
KEY_BYTES = range(16, 65)
"""Lengths of a symmetric key that IoT Hub takes ("Invalid device key length" otherwise)."""

_ID = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
_REGISTRATION_ID = re.compile(r"[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9\-]")
_ID_RULE = "1 to 128 ASCII letters, digits or - : . + % _ # * ? ! ( ) , = @ ; $ '"


def validate_device_id(device_id: str) -> str:
    """The id itself when IoT Hub takes it; raises IdentityError."""
    if _ID.fullmatch(device_id) is None:
        raise IdentityError(f"device id {device_id[:140]!r} is not allowed: use {_ID_RULE}")
    return device_id


def validate_module_id(module_id: str) -> str:
    """The id itself when IoT Hub takes it; of ids that start with $ only the system modules are allowed."""
    if _ID.fullmatch(module_id) is None:
        raise IdentityError(f"module id {module_id[:140]!r} is not allowed: use {_ID_RULE}")
    if module_id.startswith("$") and module_id not in SYSTEM_MODULES:
        raise IdentityError(f"module id {module_id!r} is not allowed: only $edgeAgent and $edgeHub start with $")
    return module_id


def validate_registration_id(registration_id: str) -> str:
    """The id itself when the Device Provisioning Service takes it; raises IdentityError."""
    if _REGISTRATION_ID.fullmatch(registration_id) is None:
        raise IdentityError(
            f"registration id {registration_id[:140]!r} is not allowed: use 1 to 128 letters, digits or - . _ : "
            "that end in a letter, digit or -"
        )
    return registration_id


@dataclass(frozen=True, slots=True)
class Identity:
    """A device, or a module on a device. Raises IdentityError when an id is not allowed."""

    device_id: str
    module_id: str | None = None

    def __post_init__(self) -> None:
        validate_device_id(self.device_id)
        if self.module_id is not None:
            validate_module_id(self.module_id)

    @classmethod
    def from_path(cls, path: str) -> Identity:
        """From "device" or "device/module", the form of an MQTT client id."""
        device_id, slash, module_id = path.partition("/")
        return cls(device_id, module_id if slash else None)

    @property
    def path(self) -> str:
        """ "device" or "device/module"."""
        return self.device_id if self.module_id is None else f"{self.device_id}/{self.module_id}"

    def resource(self, host: str) -> str:
        """What a token for this identity names: "host/devices/d" or "host/devices/d/modules/m"."""
        device = f"{host}/devices/{self.device_id}"
        return device if self.module_id is None else f"{device}/modules/{self.module_id}"

    def __str__(self) -> str:
        return self.path


def generate_key() -> str:
    """A new symmetric key: base64 of 32 random bytes."""
    return base64.b64encode(os.urandom(GENERATED_KEY_BYTES)).decode("ascii")


def decode_key(key: str) -> bytes:
    """The bytes of a base64 key; raises IdentityError (which does not repeat the key) when it is not base64."""
    try:
        decoded = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise IdentityError("the symmetric key is not base64: copy it whole, with its trailing = signs")
    return decoded


def validate_key(key: str) -> str:
    """The key itself when IoT Hub takes it: base64 of 16 to 64 bytes; raises IdentityError."""
    length = len(decode_key(key))
    if length not in KEY_BYTES:
        raise IdentityError(f"the symmetric key has {length} bytes: IoT Hub takes 16 to 64")
    return key


def derive_device_key(group_key: str, registration_id: str) -> str:
    """The key of one device of an enrolment group: base64(HMAC-SHA256(group key, registration id)).

    Raises IdentityError when the key is not base64 or the registration id is not allowed.
    """
    validate_registration_id(registration_id)
    digest = hmac.digest(decode_key(group_key), registration_id.encode("ascii"), hashlib.sha256)
    return base64.b64encode(digest).decode("ascii")
