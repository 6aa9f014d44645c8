"""What a check has to say about a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from iot_core.json_types import JsonObject

__all__ = ["Finding", "Severity"]


class Severity(StrEnum):
    """How bad it is: an error stops, the others advise."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One finding: the id of the rule, the place, what is wrong there, and what to do about it."""

    rule: str
    severity: Severity
    path: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.rule} {self.path}: {self.message}. {self.fix}"

    def to_json(self) -> JsonObject:
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "path": self.path,
            "message": self.message,
            "fix": self.fix,
        }

    @classmethod
    def from_json(cls, document: JsonObject) -> Finding:
        return cls(**{**document, "severity": Severity(document["severity"])})
