"""`edgeyard job journals`: the jobs that were run from here, or by colleagues with the same container."""

from __future__ import annotations

from edgeyard.cli.hubs import HomeOption
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_render import describe
from edgeyard.cli.job_watch import OutputOption
from edgeyard.cli.render import Output, print_json, print_table
from hub_tools.jobs.journals import JournalSummary, summaries

__all__ = ["journals"]


def journals(output: OutputOption = Output.TABLE, journal: JournalOption = None, home: HomeOption = None) -> None:
    """Print the jobs whose journals lie in a place, the newest first, by whichever path they went.

    Example: edgeyard job journals --journal "$STORAGE;Container=journals"
    """
    with open_jobs(journal, home) as jobs:
        found = summaries(jobs)
    if output is Output.JSON:
        print_json([each.to_json() for each in found])
        return
    print_table(("JOB", "WHAT", "BY", "BEGAN (UTC)", "DEVICES"), map(_row, found))


def _row(job: JournalSummary) -> tuple[str, ...]:
    if job.spec is None:
        return job.job_id, job.fault, "", "", ""
    counts = [f"{number:,} {state.value}" for state, number in job.states.items()]
    counts += [f"{job.undone:,} undone"] if job.undone else []
    devices = f"{f'{job.rollout}: ' if job.rollout else ''}{', '.join(counts) or 'none yet'}"
    return job.job_id, describe(job.spec), job.operator, job.began[:19].replace("T", " "), devices
