"""What an operation of the blob service needs to be granted, as the letters of ``sp``.

Source: Azure Storage REST reference, "Create a service SAS" (permissions for a blob, for a container), "Create an
account SAS" (operations by permission).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "CREATE_CONTAINER",
    "DELETE",
    "DELETE_CONTAINER",
    "LIST",
    "LIST_CONTAINERS",
    "PUT",
    "READ",
    "READ_CONTAINER",
    "WRITE",
    "WRITE_CONTAINER",
    "Level",
    "Need",
]


class Level(Enum):
    """What an operation is on, as the letter of ``srt``."""

    SERVICE = "s"
    CONTAINER = "c"
    OBJECT = "o"


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Any one of ``letters``; ``delegated`` whether a service SAS can grant it at all."""

    letters: str
    level: Level = Level.OBJECT
    delegated: bool = True


READ = Need(letters="r")
PUT = Need(letters="cw")
"""Create allows what does not exist yet, write that and overwriting."""
WRITE = Need(letters="w")
DELETE = Need(letters="d")
LIST = Need(letters="l", level=Level.CONTAINER)
READ_CONTAINER = Need(letters="r", level=Level.CONTAINER, delegated=False)
CREATE_CONTAINER = Need(letters="cw", level=Level.CONTAINER, delegated=False)
WRITE_CONTAINER = Need(letters="w", level=Level.CONTAINER, delegated=False)
DELETE_CONTAINER = Need(letters="d", level=Level.CONTAINER, delegated=False)
LIST_CONTAINERS = Need(letters="l", level=Level.SERVICE, delegated=False)
