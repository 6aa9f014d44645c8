"""Every operation of the blob endpoint: what it is on, what it needs, who answers it; and what is refused by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from iot_core.storage import needs
from iot_core.storage.needs import Need
from iot_core.storage.refusals import StorageRefusal, refused
from local_hub.blobs import containers, reading, writing
from local_hub.blobs.call import Call, Reply

__all__ = ["NOT_BUILT", "OPERATIONS", "Operation", "Target", "check_headers", "find_operation"]

Handler = Callable[[Call], Awaitable[Reply]]


class Target(Enum):
    """What a path names."""

    ACCOUNT = "account"
    CONTAINER = "container"
    BLOB = "blob"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """``name`` is the one in the service's reference."""

    name: str
    need: Need
    handler: Handler


def _operation(name: str, need: Need, handler: Handler) -> Operation:
    return Operation(name=name, need=need, handler=handler)


_B, _C = Target.BLOB, Target.CONTAINER
_GET_CONTAINER = _operation("Get Container Properties", needs.READ_CONTAINER, containers.get_container)
_GET_CONTAINER_METADATA = _operation("Get Container Metadata", needs.READ_CONTAINER, containers.get_container_metadata)
_GET_METADATA = _operation("Get Blob Metadata", needs.READ, reading.get_metadata)

OPERATIONS: Mapping[tuple[Target, str, str], Operation] = {
    (Target.ACCOUNT, "GET", "list"): _operation("List Containers", needs.LIST_CONTAINERS, containers.list_containers),
    (_C, "PUT", ""): _operation("Create Container", needs.CREATE_CONTAINER, containers.create_container),
    (_C, "GET", ""): _GET_CONTAINER,
    (_C, "HEAD", ""): _GET_CONTAINER,
    (_C, "GET", "metadata"): _GET_CONTAINER_METADATA,
    (_C, "HEAD", "metadata"): _GET_CONTAINER_METADATA,
    (_C, "PUT", "metadata"): _operation(
        "Set Container Metadata", needs.WRITE_CONTAINER, containers.set_container_metadata
    ),
    (_C, "DELETE", ""): _operation("Delete Container", needs.DELETE_CONTAINER, containers.delete_container),
    (_C, "GET", "list"): _operation("List Blobs", needs.LIST, containers.list_blobs),
    (_B, "PUT", ""): _operation("Put Blob", needs.PUT, writing.put_blob),
    (_B, "PUT", "block"): _operation("Put Block", needs.PUT, writing.put_block),
    (_B, "PUT", "blocklist"): _operation("Put Block List", needs.PUT, writing.put_block_list),
    (_B, "GET", "blocklist"): _operation("Get Block List", needs.READ, reading.get_block_list),
    (_B, "GET", ""): _operation("Get Blob", needs.READ, reading.get_blob),
    (_B, "HEAD", ""): _operation("Get Blob Properties", needs.READ, reading.get_properties),
    (_B, "GET", "metadata"): _GET_METADATA,
    (_B, "HEAD", "metadata"): _GET_METADATA,
    (_B, "PUT", "metadata"): _operation("Set Blob Metadata", needs.WRITE, writing.set_metadata),
    (_B, "PUT", "properties"): _operation("Set Blob Properties", needs.WRITE, writing.set_properties),
    (_B, "DELETE", ""): _operation("Delete Blob", needs.DELETE, writing.delete_blob),
}
"""By what the path names, the verb, and ``comp`` in the query."""

NOT_BUILT: Mapping[str, str] = {
    "acl": "access policies of containers",
    "appendblock": "append blobs",
    "batch": "batches",
    "blobs": "finding blobs by tags",
    "copy": "copies",
    "expiry": "expiry of blobs",
    "immutabilitypolicies": "immutability policies",
    "incrementalcopy": "page blobs",
    "lease": "leases",
    "legalhold": "legal holds",
    "page": "page blobs",
    "pagelist": "page blobs",
    "query": "queries of contents",
    "rename": "renaming of containers",
    "seal": "append blobs",
    "snapshot": "snapshots",
    "stats": "statistics of the service",
    "tags": "tags",
    "tier": "access tiers",
    "undelete": "soft deletion",
    "userdelegationkey": "user delegation keys",
}
"""``comp`` → the feature."""

_REFUSED_HEADERS: Mapping[str, str] = {
    "x-ms-access-tier": "access tiers",
    "x-ms-blob-public-access": "public access",
    "x-ms-copy-source": "copies",
    # Its algorithm alone asks for nothing: an older SDK for Node.js names it in every request.
    "x-ms-encryption-key": "keys of the client's own",
    "x-ms-encryption-scope": "encryption scopes",
    "x-ms-default-encryption-scope": "encryption scopes",
    "x-ms-if-tags": "tags",
    "x-ms-immutability-policy-mode": "immutability policies",
    "x-ms-immutability-policy-until-date": "immutability policies",
    "x-ms-legal-hold": "legal holds",
    "x-ms-structured-body": "structured messages",
    "x-ms-tags": "tags",
}


def find_operation(target: Target, verb: str, query: Mapping[str, str]) -> Operation:
    """StorageRefusal NotImplemented for what the service has and this endpoint has not, else what is wrong with it."""
    component = query.get("comp", "").lower()
    if component in NOT_BUILT:
        raise _not_built(NOT_BUILT[component])
    if "snapshot" in query or "versionid" in query:
        raise _not_built("snapshots and versions of blobs")
    found = OPERATIONS.get((target, verb, component))
    if found is not None:
        return found
    if target is Target.ACCOUNT:
        raise _not_built("operations on the account beside listing its containers")
    if any(key[0] is target and key[2] == component for key in OPERATIONS):
        raise refused("UnsupportedHttpVerb")
    raise refused("InvalidQueryParameterValue", QueryParameterName="comp", QueryParameterValue=component[:100])


def check_headers(headers: Mapping[str, str]) -> None:
    """StorageRefusal for headers that ask for what is not built."""
    for name, feature in _REFUSED_HEADERS.items():
        if name in headers:
            raise _not_built(f"{feature} ({name})")
    if "x-ms-lease-id" in headers:
        raise refused("LeaseNotPresentWithBlobOperation")


def _not_built(feature: str) -> StorageRefusal:
    return refused("NotImplemented", f"{feature}: not built in this local hub.")
