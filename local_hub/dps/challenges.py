"""What a TPM has to prove itself with: an HMAC key that only it can unwrap (DPS documentation, "TPM attestation").

Keys are made from a secret of this process instead of being kept, so that asking for many costs nothing: one for each
enrolment and hour, and the one of the hour before is good too.
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass

from iot_core.dps import Enrollment, Tpm
from iot_core.dps.fields import bad
from iot_core.dps.tpm import PublicKey, read_public_key, wrap_key
from iot_core.errors import InputError

__all__ = ["Challenges", "TpmKeys"]

WINDOW_S = 3600
"""As long as the tokens that device SDKs sign with such a key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TpmKeys:
    """The public keys that a device shows, TPM2B_PUBLIC."""

    endorsement: bytes
    storage_root: bytes

    @classmethod
    def parse(cls, endorsement: object, storage_root: object) -> TpmKeys:
        """From the base64 of bodies; HubError BadRequest."""
        try:
            return cls(endorsement=_decoded(endorsement), storage_root=_decoded(storage_root))
        except ValueError:
            raise bad("tpm needs endorsementKey and storageRootKey, base64.") from None

    def fit(self, attestation: Tpm) -> bool:
        """Whether an enrolment names them."""
        wanted = attestation.storage_root_key
        return self.endorsement == base64.b64decode(attestation.endorsement_key) and (
            wanted is None or self.storage_root == base64.b64decode(wanted)
        )

    def wrap(self, key: bytes) -> str:
        """A key as the device's TPM takes it, base64; HubError BadRequest for a storage root key that is none."""
        return base64.b64encode(wrap_key(key, _read(self.endorsement), _read(self.storage_root))).decode("ascii")


class Challenges:
    """The keys of TPM enrolments; times are unix seconds."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)

    def key(self, enrollment: Enrollment, attestation: Tpm, now: float) -> bytes:
        """The key to be wrapped now."""
        return self._key(enrollment, attestation, int(now // WINDOW_S))

    def good_keys(self, enrollment: Enrollment, attestation: Tpm, now: float) -> tuple[str, ...]:
        """The keys, base64, that a token may be signed with."""
        window = int(now // WINDOW_S)
        keys = (self._key(enrollment, attestation, each) for each in (window, window - 1))
        return tuple(base64.b64encode(key).decode("ascii") for key in keys)

    def _key(self, enrollment: Enrollment, attestation: Tpm, window: int) -> bytes:
        text = "\n".join((enrollment.id.lower(), attestation.endorsement_key, str(window)))
        return hmac.digest(self._secret, text.encode("utf-8"), "sha256")


def _decoded(text: object) -> bytes:
    if not isinstance(text, str) or not text:
        raise ValueError("no text")
    return base64.b64decode(text, validate=True)


def _read(key: bytes) -> PublicKey:
    try:
        return read_public_key(key)
    except InputError as error:
        raise bad(f"A key of the TPM cannot be used: {error}.") from error
