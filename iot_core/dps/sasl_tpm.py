"""The SASL mechanism TPM, by which devices log in to the provisioning service over AMQP.

    client: 0 scope 0 registration id 0 endorsement key      server: 0
    client: 0 storage root key                               server: control byte, part of the wrapped key
    client: 0                                                … until the control byte says that this was the last part
    client: 0 token, signed with the key                     server: the outcome

A control byte has its highest bit set, the next one in the last part, and the number of the part, from 0, in its two
lowest ones. Source: the device SDKs for Node.js, C and .NET.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from iot_core.dps.login import ProvisioningLogin, parse_registration
from iot_core.errors import IdentityError

__all__ = ["ASK_STORAGE_ROOT", "TpmInit", "read_init", "read_response", "segments"]

ASK_STORAGE_ROOT = b"\0"
"""The first challenge."""
SEGMENT_BYTES = 400
"""As the SDKs expect it: a frame of SASL has 512 at most."""
MAX_SEGMENTS = 4
_PRESENT, _LAST = 0x80, 0x40


@dataclass(frozen=True, kw_only=True, slots=True)
class TpmInit:
    """Who logs in, and the public part of its endorsement key, TPM2B_PUBLIC."""

    login: ProvisioningLogin
    endorsement_key: bytes = field(repr=False)


def read_init(data: bytes) -> TpmInit | None:
    """The initial response; None for one that is none, or names what is no registration."""
    parts = data.split(b"\0", 3)
    if len(parts) != 4 or parts[0]:
        return None
    try:
        login = parse_registration(f"{parts[1].decode('utf-8')}/registrations/{parts[2].decode('utf-8')}")
    except (UnicodeDecodeError, IdentityError):
        return None
    return TpmInit(login=login, endorsement_key=parts[3]) if login is not None else None


def read_response(data: bytes) -> bytes | None:
    """What follows the zero that each response begins with; None without it."""
    return data[1:] if data[:1] == b"\0" else None


def segments(wrapped_key: bytes) -> list[bytes]:
    """The challenges that carry a key, in order."""
    parts = [wrapped_key[at : at + SEGMENT_BYTES] for at in range(0, len(wrapped_key), SEGMENT_BYTES)]
    assert len(parts) <= MAX_SEGMENTS
    last = len(parts) - 1
    return [bytes([_PRESENT | (_LAST if number == last else 0) | number]) + part for number, part in enumerate(parts)]
