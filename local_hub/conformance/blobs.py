"""The built-in blob endpoint; operations are named as in the reference of Azure Storage."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["AREA", "ROWS"]

AREA = "Blob endpoint (HTTPS)"

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_SDK = "tests/local_hub/fronts/test_blobs_sdk.py"
_HTTP = "tests/local_hub/fronts/test_blobs_http.py"
_PUT = f"{_SDK}::test_what_was_put_comes_back_with_all_that_was_said_of_it"
_BLOCKS = f"{_SDK}::test_blocks_may_be_committed_in_any_order_and_used_again"
_CONTAINERS = f"{_SDK}::test_containers_are_found_described_and_listed"
_PROPERTIES = f"{_SDK}::test_properties_and_metadata_are_changed_all_at_once"

ROWS = area(
    AREA,
    row(
        "Put Blob",
        _EXACT,
        _PUT,
        "Block blobs up to 5,000 MiB, synced before the answer; append and page blobs are refused.",
    ),
    row("Put Block", _EXACT, _BLOCKS, "CRC-64 and MD5 are checked where they are sent, and only then in the answer."),
    row("Put Block List", _EXACT, _BLOCKS),
    row("Get Block List", _EXACT, _BLOCKS),
    row(
        "Get Blob",
        _EXACT,
        f"{_SDK}::test_large_blobs_go_in_blocks_and_come_back_in_ranges",
        "Ranges, conditions, checksums of ranges; structured messages are refused.",
    ),
    row("Get Blob Properties", _EXACT, _PUT),
    row("Get Blob Metadata", _DOCUMENTED, f"{_HTTP}::test_metadata_is_told_of_a_blob_and_of_a_container"),
    row("Set Blob Metadata", _EXACT, _PROPERTIES),
    row("Set Blob Properties", _EXACT, _PROPERTIES),
    row("Delete Blob", _EXACT, f"{_SDK}::test_a_deleted_blob_is_gone", "At once and for good."),
    row(
        "List Blobs",
        _APPROXIMATE,
        f"{_SDK}::test_blobs_are_listed_in_pages_in_groups_and_by_prefix",
        "Flat and by delimiter; blobs that are only blocks so far are never listed.",
    ),
    row("List Containers", _EXACT, _CONTAINERS),
    row("Create Container", _EXACT, _CONTAINERS, "Public access is refused."),
    row("Get Container Properties", _EXACT, _CONTAINERS),
    row("Get Container Metadata", _DOCUMENTED, f"{_HTTP}::test_metadata_is_told_of_a_blob_and_of_a_container"),
    row("Set Container Metadata", _EXACT, _CONTAINERS),
    row(
        "Delete Container",
        _APPROXIMATE,
        f"{_SDK}::test_a_container_that_is_not_there",
        "At once: its name is free again, where the service needs half a minute.",
    ),
    row(
        "Shared access signatures",
        _EXACT,
        f"{_SDK}::test_an_account_s_signature_holds_until_it_expires",
        "Of services (blob, container; since 2015-04-05) and accounts; stored policies, user delegation are refused.",
        "iot_core/storage/sas.py::Signature",
    ),
    row(
        "Shared Key",
        _APPROXIMATE,
        f"{_SDK}::test_a_wrong_key_is_refused",
        "The date of a request does not count.",
        "iot_core/storage/shared_key.py::verify_shared_key",
    ),
    row(
        "Leases, snapshots, versions, tags, tiers, copies, batches, policies",
        _REFUSED,
        "tests/local_hub/blobs/test_operations.py::test_what_is_not_built_is_told_apart_from_what_there_is_not",
        "501 NotImplemented, by name.",
        "local_hub/blobs/operations.py::NOT_BUILT",
    ),
)
