"""What an import or export job is told to do (REST reference, "Jobs - Create Import Export Job")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject

__all__ = ["EXPORT", "IMPORT", "IMPORT_ERRORS", "Order"]

EXPORT, IMPORT = "export", "import"
DEVICES = "devices.txt"
CONFIGURATIONS = "configurations.txt"
IMPORT_ERRORS = "importErrors.log"
_IDENTITY_BASED = "identitybased"
_TEXTS = (
    *("inputBlobContainerUri", "inputBlobName", "outputBlobContainerUri", "outputBlobName"),
    "configurationsBlobName",
)
_SWITCHES = ("excludeKeysInExport", "includeConfigurations")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A checked order. The container addresses hold signatures: they are never told again.

    ``source_blob`` is what an import reads, ``target_blob`` what an export writes; an import writes IMPORT_ERRORS.
    """

    type: str
    source: str | None = field(default=None, repr=False)
    target: str = field(repr=False)
    source_blob: str = DEVICES
    target_blob: str = DEVICES
    exclude_keys: bool = False
    with_configurations: bool = False
    configurations_blob: str = CONFIGURATIONS

    @classmethod
    def parse(cls, body: JsonObject) -> Order:
        """HubError ArgumentInvalid, BlobContainerValidationError without an address that the job needs,
        ManagedIdentityNotEnabled for storage that is reached by an identity: this hub has none.
        """
        kind = body.get("type")
        if kind not in (EXPORT, IMPORT):
            raise _invalid(f"type must be {EXPORT} or {IMPORT}.")
        for name in _TEXTS:
            _check(body.get(name), str, name, "a text")
        for name in _SWITCHES:
            _check(body.get(name), bool, name, "true or false")
        if str(body.get("storageAuthenticationType") or "").lower() == _IDENTITY_BASED or body.get("identity"):
            text = "The hub has no managed identity: use storageAuthenticationType keyBased and signed container URIs."
            raise hub_error("ManagedIdentityNotEnabled", text)
        source = body.get("inputBlobContainerUri") if kind == IMPORT else None
        if kind == IMPORT and not source:
            raise hub_error("BlobContainerValidationError", "inputBlobContainerUri is needed for an import.")
        if not body.get("outputBlobContainerUri"):
            raise hub_error("BlobContainerValidationError", "outputBlobContainerUri is needed.")
        return cls(
            type=kind,
            source=source,
            target=body["outputBlobContainerUri"],
            source_blob=body.get("inputBlobName") or DEVICES,
            target_blob=body.get("outputBlobName") or DEVICES,
            exclude_keys=bool(body.get("excludeKeysInExport")),
            with_configurations=bool(body.get("includeConfigurations")),
            configurations_blob=body.get("configurationsBlobName") or CONFIGURATIONS,
        )

    def document(self) -> JsonObject:
        """The part of a JobProperties that the caller chose, without the addresses."""
        blob = {"inputBlobName": self.source_blob} if self.type == IMPORT else {"outputBlobName": self.target_blob}
        return {
            "type": self.type,
            **blob,
            "excludeKeysInExport": self.exclude_keys,
            "storageAuthenticationType": "keyBased",
            "includeConfigurations": self.with_configurations,
            "configurationsBlobName": self.configurations_blob,
        }


def _check(value: Any, kind: type, name: str, what: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise _invalid(f"{name} must be {what}.")


def _invalid(text: str) -> HubError:
    return hub_error("ArgumentInvalid", text)
