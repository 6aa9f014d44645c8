"""`edgeyard hub conformance`: the ledger as a table and as JSON."""

from __future__ import annotations

import json

import pytest

from edgeyard.cli.exits import DONE
from edgeyard.cli.main import run
from edgeyard.cli.render import stdout
from local_hub.conformance import LEDGER


def test_json_has_every_row_with_its_test_and_when_it_was_seen_on_azure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hub", "conformance", "--output", "json"]) == DONE
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(LEDGER)
    assert rows[0].keys() == {"area", "operation", "state", "test", "lastSeenOnAzure", "note"}
    assert {row["lastSeenOnAzure"] for row in rows} == {"never"}
    assert all(row["test"].startswith("tests/") for row in rows)


def test_the_table_names_operation_state_test_and_never(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdout, "width", 1000)
    assert run(["hub", "conformance"]) == DONE
    text = capsys.readouterr().out
    assert "SEEN ON AZURE" in text
    for word in ("GET /digitaltwins/{device}", "refused", "never", LEDGER[0].test):
        assert word in text
