"""What a job is to do, and to which devices: one value that is planned, journalled, run, resumed and undone."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.window import Window
from hub_tools.service import Json
from iot_core.errors import InputError, QueryError
from iot_core.query import parse

__all__ = ["JobKind", "JobSpec", "MethodCall", "TwinPath", "new_job_id", "value_at"]

JobKind = Literal["twin", "method", "c2d"]
Section = Literal["desired", "tags"]
_JOB_ID = re.compile(r"[a-z0-9\-]{1,52}")
"""What the job service takes of 64 characters, with room for the number of a part."""
METHOD_TIMEOUT_S = 30


def new_job_id() -> str:
    """A job id that no other job has."""
    return f"job-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodCall:
    """A direct method that a job calls."""

    name: str
    payload: Any = None
    response_timeout_s: int = METHOD_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class TwinPath:
    """A value of a twin: its section and the names down to it."""

    section: Section
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.section, *self.names))

    @classmethod
    def parse(cls, text: str) -> TwinPath:
        """The path that `str` printed."""
        section, *names = text.split(".")
        return cls("tags" if section == "tags" else "desired", tuple(names))

    def patch(self, value: Any) -> Json:
        """The merge patch that sets this one value; None deletes it."""
        for name in reversed(self.names):
            value = {name: value}
        return {"tags": value} if self.section == "tags" else {"properties": {"desired": value}}


def value_at(document: Any, names: tuple[str, ...]) -> Any:
    """The value down the names, None where there is none: a twin holds no null."""
    for name in names:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A change for every device that `where` matches.

    `where` is the part of a query after WHERE, `*` every device; `named` says how it was given ("group office").
    `desired` and `tags` are merge patches in which null deletes; otherwise a job calls one `method` or sends one
    cloud-to-device message `c2d`. `confirm` is a condition that tells that a device has followed, in place of the
    devices' acknowledgements; with `wait` false nothing is awaited. `start` and `expires` are unix seconds.
    Raises InputError for what cannot be a job.
    """

    where: str
    named: str = "--where"
    desired: Json = field(default_factory=dict)
    tags: Json = field(default_factory=dict)
    method: MethodCall | None = None
    c2d: str | None = None
    confirm: str | None = None
    wait: bool = True
    start: float | None = None
    expires: float | None = None
    window: Window | None = None
    reason: str = ""
    job_id: str = field(default_factory=new_job_id)

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise InputError(
                "A job needs a condition: --where \"tags.building = 'B1'\", --group NAME, or --all for every device."
            )
        twin = bool(self.desired or self.tags)
        if twin + (self.method is not None) + (self.c2d is not None) != 1:
            raise InputError("A job sets properties and tags, or calls one method, or sends one message: give one.")
        if not _JOB_ID.fullmatch(self.job_id):
            raise InputError(f"job id {self.job_id[:60]!r} is not allowed: 1 to 52 of a-z, 0-9 and -")
        _check_condition("--where", self.where)
        if self.confirm is not None:
            _check_condition("--confirm", self.confirm)

    @property
    def kind(self) -> JobKind:
        """What the job does to a device."""
        if self.method is not None:
            return "method"
        return "c2d" if self.c2d is not None else "twin"

    @property
    def awaits(self) -> bool:
        """Whether devices are to say that they followed; tags and messages are never acknowledged."""
        return self.wait and bool(self.desired or self.confirm)

    @property
    def touched(self) -> tuple[TwinPath, ...]:
        """Every value of a twin that the job sets or deletes, in the order of their names."""
        found = [TwinPath("desired", names) for names in _leaves(self.desired)]
        found += [TwinPath("tags", names) for names in _leaves(self.tags)]
        return tuple(found)

    def target(self, path: TwinPath) -> Any:
        """The value that the job wants at a touched path; None: that there be none."""
        return value_at(self.desired if path.section == "desired" else self.tags, path.names)

    def patch(self) -> Json:
        """The twin patch as `PATCH /twins/{id}` takes it."""
        patch: Json = {}
        if self.tags:
            patch["tags"] = self.tags
        if self.desired:
            patch["properties"] = {"desired": self.desired}
        return patch

    def to_json(self) -> Json:
        """A document from which `from_json` makes the same job."""
        method = self.method and {
            "name": self.method.name,
            "payload": self.method.payload,
            "responseTimeout": self.method.response_timeout_s,
        }
        document = {
            "id": self.job_id,
            "where": self.where,
            "named": self.named,
            "desired": self.desired,
            "tags": self.tags,
            "method": method,
            "c2d": self.c2d,
            "confirm": self.confirm,
            "wait": self.wait,
            "start": self.start,
            "expires": self.expires,
            "window": self.window and self.window.to_json(),
            "reason": self.reason,
        }
        return {name: value for name, value in document.items() if value not in (None, {}, "")}

    @classmethod
    def from_json(cls, document: Json) -> JobSpec:
        """The job that `to_json` wrote; InputError when it is none."""
        try:
            method = document.get("method")
            window = document.get("window")
            return cls(
                job_id=document["id"],
                where=document["where"],
                named=document.get("named", "--where"),
                desired=document.get("desired", {}),
                tags=document.get("tags", {}),
                method=method
                and MethodCall(
                    name=method["name"],
                    payload=method.get("payload"),
                    response_timeout_s=method.get("responseTimeout", METHOD_TIMEOUT_S),
                ),
                c2d=document.get("c2d"),
                confirm=document.get("confirm"),
                wait=document.get("wait", True),
                start=document.get("start"),
                expires=document.get("expires"),
                window=window and Window.parse(window["between"], window["zone"]),
                reason=document.get("reason", ""),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"this is no job that edgeyard wrote: {error!r}") from None


def _leaves(patch: Json, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in patch.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name)


def _check_condition(option: str, condition: str) -> None:
    if condition.strip() == EVERY_DEVICE:
        return
    try:
        parse(f"SELECT * FROM devices WHERE {condition}")
    except QueryError as error:
        raise InputError(f"{option} {condition!r}: {error}") from None
