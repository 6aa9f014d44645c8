"""A device with a TPM logs in to the provisioning service, in the steps of `iot_core.dps.sasl_tpm`."""

from __future__ import annotations

import base64
from collections import deque
from dataclasses import replace

from iot_core.dps import sasl_tpm
from local_hub.dps.attestation import Attempt, unauthorized
from local_hub.dps.challenges import TpmKeys
from local_hub.dps.registrations import Registrations

__all__ = ["TpmLogin"]


class TpmLogin:
    """One login. HubError, and then it has failed: Unauthorized, or BadRequest for keys that are none."""

    def __init__(self, registrations: Registrations, initial_response: bytes) -> None:
        init = sasl_tpm.read_init(initial_response)
        if init is None:
            raise unauthorized()
        self._registrations = registrations
        self._endorsement_key = init.endorsement_key
        self._attempt = Attempt(login=init.login)
        self._segments: deque[bytes] = deque()

    def answer(self, response: bytes) -> bytes | Attempt:
        """The next challenge; at the end who has logged in."""
        data = sasl_tpm.read_response(response)
        if data is None:
            raise unauthorized()
        if self._attempt.tpm is None:
            self._wrap(data)
        elif not self._segments:
            return self._checked(data)
        return self._segments.popleft()

    def _wrap(self, storage_root_key: bytes) -> None:
        keys = TpmKeys(endorsement=self._endorsement_key, storage_root=storage_root_key)
        self._attempt = replace(self._attempt, tpm=keys)
        self._segments.extend(sasl_tpm.segments(base64.b64decode(self._registrations.challenge(self._attempt))))

    def _checked(self, token: bytes) -> Attempt:
        attempt = replace(self._attempt, token=token.decode("utf-8", "replace"))
        self._registrations.check(attempt)
        return attempt
