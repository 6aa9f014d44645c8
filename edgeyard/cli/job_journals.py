"""Where the journals of jobs are: a folder of this machine, another one, or a container that colleagues reach too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from edgeyard.cli.hubs import authority_for, home_folder
from hub_tools.jobs.blob_storage import BlobJobs, is_blob_place
from hub_tools.jobs.storage import Jobs

__all__ = ["JournalOption", "open_jobs"]

JournalOption = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="PLACE",
        envvar="EDGEYARD_JOURNAL",
        help="Where journals are: a folder, the URL of a blob container with its SAS, or the connection string of a "
        "storage account followed by ;Container=NAME. Without it: jobs in the data folder.",
        show_default=False,
        show_envvar=False,
    ),
]


@contextmanager
def open_jobs(place: str | None, home: Path | None) -> Iterator[Path | Jobs]:
    """The journals of a place, for as long as the block runs; InputError for a text that names none."""
    if place is None:
        yield home_folder(home) / "jobs"
    elif is_blob_place(place):
        authority = authority_for(_host(place), home_folder(home))
        with BlobJobs(place, ca_file=str(authority) if authority else None) as jobs:
            yield jobs
    else:
        yield Path(place).absolute()


def _host(place: str) -> str:
    """The host of a container's URL, or of the endpoint in a connection string; "" for Azure's own."""
    if place.startswith("http"):
        return urlsplit(place).netloc
    fields = dict(part.split("=", 1) for part in place.split(";") if "=" in part)
    return urlsplit(fields.get("BlobEndpoint", "")).netloc
