"""`edgeyard validate`: everything that is wrong or doubtful in deployments, before they are applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.exits import DONE, WRONG_USE
from edgeyard.cli.findings import print_findings
from edgeyard.cli.hubs import HomeOption, home_folder
from edgeyard.cli.render import Output, print_json, print_note
from edgeyard.cli.stack_options import EnvironmentOption
from iot_core.manifest.findings import Severity

__all__ = ["validate"]


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Templates, manifests, layers, or programs of stacks (.py)."),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="RULE", help="Be silent about a rule; may be repeated.")
    ] = None,
    environment: EnvironmentOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    home: HomeOption = None,
) -> None:
    """Check deployments by rules (V01–V17) and policies (P01–P06); several files are the layers of one device.

    Exit code 2 when there are errors.

    Example: edgeyard validate deployment.template.json
    """
    from hub_tools.validation import FileFinding, validate_files

    found: Sequence[FileFinding] = validate_files(
        files, environment=environment, home=home_folder(home), ignore=ignore or ()
    )
    counts = Counter(item.finding.severity for item in found)
    if output is Output.JSON:
        totals = {f"{severity.value}s": counts[severity] for severity in Severity}
        print_json({"findings": [item.to_json() for item in found], **totals})
    else:
        print_findings([(item.file, item.finding) for item in found])
        print_note(_summary(counts))
    wrong = counts[Severity.ERROR] + (counts[Severity.WARNING] if strict else 0)
    raise typer.Exit(WRONG_USE if wrong else DONE)


def _summary(counts: Counter[Severity]) -> str:
    errors, warnings, notes = counts[Severity.ERROR], counts[Severity.WARNING], counts[Severity.INFO]
    parts = [
        f"{errors} {'error' if errors == 1 else 'errors'}",
        f"{warnings} {'warning' if warnings == 1 else 'warnings'}",
        *([f"{notes} for information"] if notes else []),
    ]
    return ", ".join(parts)
