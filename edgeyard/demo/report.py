"""The demo's table, and what to try while it stays up."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeyard.demo.findings import Finding
from edgeyard.demo.yard import Yard

__all__ = ["format_findings", "format_look_around"]


def format_findings(findings: Sequence[Finding]) -> RenderableType:
    """One row a finding, with a mark that does not depend on colour."""
    table = Table("", "WHAT", "SEEN", header_style="bold", box=None, pad_edge=False)
    for finding in findings:
        mark = Text("✓", style="green") if finding.ok else Text("✗", style="bold red")
        table.add_row(mark, Text(finding.what), Text(finding.seen))
    return Group(Text(), table, Text())


def format_look_around(yard: Yard) -> RenderableType:
    """Commands for another terminal."""
    commands = (
        f"export EDGEYARD_HOME={yard.home}",
        "edgeyard hub trace",
        "edgeyard edge list",
        "edgeyard query \"SELECT deviceId, tags.building FROM devices WHERE tags.building = 'B1'\"",
        f"edgeyard sentiment --url http://{yard.edge_host}:5000 'Works like a charm'",
        f"edgeyard score --url http://{yard.edge_host}:5001 modules/scorer/samples/cat.jpg",
    )
    lines = "\n".join(f"  {command}" for command in commands)
    return Text(f"It stays up until Ctrl-C. In another terminal (source .venv/bin/activate first):\n\n{lines}\n")
