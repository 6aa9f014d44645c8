"""Everything that is wrong or doubtful in a deployment, at once, each with a rule, a path and a way out."""

from __future__ import annotations

from iot_core.manifest.findings import Finding, Severity
from iot_core.manifest.validation.reading import Kind, Reading, read_document
from iot_core.manifest.validation.rules import RULES, LayerDocument, Rule, check_layers, check_manifest

__all__ = [
    "RULES",
    "Finding",
    "Kind",
    "LayerDocument",
    "Reading",
    "Rule",
    "Severity",
    "check_layers",
    "check_manifest",
    "read_document",
]
