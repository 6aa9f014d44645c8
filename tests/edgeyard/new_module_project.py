"""A copy of the parts of this project that a new module is written into."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MODEL = PROJECT / "modules" / "scorer" / "models" / "anomaly.onnx"


def project_copy(folder: Path) -> Path:
    """Template, engine table, tools' settings, the modules' common code, and of each module its module.json."""
    for name in ("deployment.template.json", "edgeyard.toml", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "modules" / "common", folder / "modules" / "common", ignore=skip)
    shutil.copy(PROJECT / "modules" / "__init__.py", folder / "modules" / "__init__.py")
    for description in (PROJECT / "modules").glob("*/module.json"):
        own = folder / "modules" / description.parent.name
        own.mkdir()
        shutil.copy(description, own / "module.json")
    return folder
