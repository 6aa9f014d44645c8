"""What the demo must have shown: each expectation with what was seen instead of it, if so."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding", "JobEffect"]

UNCHANGED = (0.7, 1.4)
"""Factor between two rates that still counts as the same; some thirty messages are counted, so one in six is chance."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table: what was looked at, what was seen, whether it is what had to be."""

    what: str
    seen: str
    ok: bool


@dataclass(frozen=True, kw_only=True)
class JobEffect:
    """Message rates (messages/s) of the changed and the other building before and after the job."""

    changed_before: float
    changed_after: float
    other_before: float
    other_after: float
    expected_factor: float

    def findings(self, changed: str, other: str) -> tuple[Finding, Finding]:
        """Both buildings' rows: the one must have followed the job, the other must have stayed."""
        factor = _factor(self.changed_before, self.changed_after)
        low, high = (self.expected_factor * bound for bound in UNCHANGED)
        other_factor = _factor(self.other_before, self.other_after)
        return (
            Finding(
                what=f"telemetry of {changed}",
                seen=f"{self.changed_before:.1f}/s → {self.changed_after:.1f}/s ({factor:.1f}×)",
                ok=low <= factor <= high,
            ),
            Finding(
                what=f"telemetry of {other}",
                seen=f"{self.other_before:.1f}/s → {self.other_after:.1f}/s ({other_factor:.1f}×)",
                ok=UNCHANGED[0] <= other_factor <= UNCHANGED[1],
            ),
        )


def _factor(before: float, after: float) -> float:
    return after / before if before else 0.0
