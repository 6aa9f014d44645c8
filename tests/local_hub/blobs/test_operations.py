"""The table of operations agrees with the ledger."""

from __future__ import annotations

import pytest

from iot_core.storage.refusals import StorageRefusal
from local_hub.blobs.operations import NOT_BUILT, OPERATIONS, Target, find_operation
from local_hub.conformance import LEDGER, State


def test_every_operation_is_in_the_ledger_and_not_refused() -> None:
    states = {entry.operation: entry.state for entry in LEDGER if entry.area == "Blob endpoint (HTTPS)"}
    for operation in OPERATIONS.values():
        assert states[operation.name] is not State.REFUSED


@pytest.mark.parametrize("component", sorted(NOT_BUILT))
def test_what_is_not_built_is_told_apart_from_what_there_is_not(component: str) -> None:
    with pytest.raises(StorageRefusal, match=r"NotImplemented.*not built"):
        find_operation(Target.BLOB, "PUT", {"comp": component})
