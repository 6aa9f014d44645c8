"""These tests run only when they are asked for by their mark, `pytest -m containers` (scripts/test-containers.sh)."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of a run that does not name their mark."""
    if "containers" in config.option.markexpr:
        return
    left_out = [item for item in items if FOLDER in item.path.parents]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
