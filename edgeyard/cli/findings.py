"""How findings look: a table, the worst in red."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from edgeyard.cli.render import stdout
from iot_core.manifest.findings import Finding, Severity

__all__ = ["print_findings"]

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def print_findings(findings: Iterable[tuple[str, Finding]]) -> None:
    """A table for each subject (a file, a deployment) that findings are given with, in the order given."""
    tables: dict[str, Table] = {}
    for subject, finding in findings:
        if subject not in tables:
            tables[subject] = table = Table("RULE", "SEVERITY", title=subject, title_justify="left", box=None)
            table.pad_edge = False
            table.add_column("FINDING", overflow="fold")
        tables[subject].add_row(
            finding.rule, Text(finding.severity.value, style=_STYLES[finding.severity]), _told(finding)
        )
    for table in tables.values():
        stdout.print(table)
        stdout.print()


def _told(finding: Finding) -> Text:
    told = Text(finding.path, style="bold")
    told.append(f"\n{finding.message}", style="not bold")
    told.append(f"\n{finding.fix}", style="not bold dim")
    return told
