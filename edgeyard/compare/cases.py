"""The scenarios that both hubs are put through. Only what an answer's facts can show belongs here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeyard.compare.steps import DEVICE_KEY, Caller, Scenario, Step, Until

__all__ = ["SCENARIOS"]

_D, _M, _TWIN = "/devices/{p}-d", "/devices/{p}-d/modules/m", "/twins/{p}-d"
_QUOTED = {"If-Match": '"{etag}"'}
_ANY, _STALE = {"If-Match": "*"}, {"If-Match": '"c3RhbGU="'}
_ETAG = {"etag": "etag"}
_SAS = {"type": "sas", "symmetricKey": {"primaryKey": DEVICE_KEY, "secondaryKey": DEVICE_KEY}}


def _device(suffix: str = "d", **fields: Any) -> dict[str, Any]:
    return {"deviceId": f"{{p}}-{suffix}", **fields}


def _make(suffix: str = "d", **fields: Any) -> Step:
    return Step(
        name=f"make device {suffix}", verb="PUT", path=f"/devices/{{p}}-{suffix}", body=_device(suffix, **fields)
    )


_DEVICES = Scenario(
    name="devices",
    steps=(
        Step(name="get none", verb="GET", path=_D),
        Step(name="create", verb="PUT", path=_D, body=_device(), remember=_ETAG),
        Step(name="get", verb="GET", path=_D),
        Step(name="create again", verb="PUT", path=_D, body=_device()),
        Step(name="update without quotes", verb="PUT", path=_D, body=_device(), headers={"If-Match": "{etag}"}),
        Step(name="update stale", verb="PUT", path=_D, body=_device(), headers=_STALE),
        Step(
            name="disable by etag",
            verb="PUT",
            path=_D,
            body=_device(status="disabled", statusReason="comparing"),
            headers=_QUOTED,
        ),
        Step(name="enable whatever the etag", verb="PUT", path=_D, body=_device(status="enabled"), headers=_ANY),
        Step(
            name="create with keys",
            verb="PUT",
            path="/devices/{p}-k",
            body=_device("k", authentication=_SAS),
        ),
        Step(
            name="create with one key",
            verb="PUT",
            path="/devices/{p}-x",
            body=_device("x", authentication={"symmetricKey": {"primaryKey": DEVICE_KEY}}),
        ),
        Step(
            name="create with a bad key",
            verb="PUT",
            path="/devices/{p}-x",
            body=_device("x", authentication={"symmetricKey": {"primaryKey": "short", "secondaryKey": "short"}}),
        ),
        Step(name="id in body differs", verb="PUT", path="/devices/{p}-x", body=_device("y")),
        Step(name="bad id", verb="PUT", path="/devices/{p}%20x", body={"deviceId": "{p} x"}),
        Step(name="bad status", verb="PUT", path="/devices/{p}-x", body=_device("x", status="sleeping")),
        Step(name="delete without If-Match", verb="DELETE", path=_D),
        Step(name="delete stale", verb="DELETE", path=_D, headers=_STALE),
        Step(name="delete", verb="DELETE", path=_D, headers=_ANY),
        Step(name="delete none", verb="DELETE", path=_D, headers=_ANY),
    ),
)

_X509 = Scenario(
    name="x509 devices",
    steps=(
        _make(
            "t",
            authentication={
                "type": "selfSigned",
                "x509Thumbprint": {"primaryThumbprint": "A" * 40, "secondaryThumbprint": "B" * 64},
            },
        ),
        _make("ca", authentication={"type": "certificateAuthority"}),
        Step(
            name="bad thumbprint",
            verb="PUT",
            path="/devices/{p}-x",
            body=_device("x", authentication={"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "A"}}),
        ),
    ),
)

_MODULES = Scenario(
    name="modules",
    steps=(
        _make(),
        Step(name="list none", verb="GET", path="/devices/{p}-d/modules"),
        Step(name="get none", verb="GET", path=_M),
        Step(name="create", verb="PUT", path=_M, body={"deviceId": "{p}-d", "moduleId": "m"}, remember=_ETAG),
        Step(name="create again", verb="PUT", path=_M, body={"deviceId": "{p}-d", "moduleId": "m"}),
        Step(name="get", verb="GET", path=_M),
        Step(name="list", verb="GET", path="/devices/{p}-d/modules"),
        Step(name="get twin", verb="GET", path="/twins/{p}-d/modules/m"),
        Step(name="patch twin", verb="PATCH", path="/twins/{p}-d/modules/m", body={"tags": {"a": 1}}),
        Step(name="on no device", verb="PUT", path="/devices/{p}-x/modules/m", body={"moduleId": "m"}),
        Step(name="delete without If-Match", verb="DELETE", path=_M),
        Step(name="delete", verb="DELETE", path=_M, headers=_ANY),
        _make("e", capabilities={"iotEdge": True}),
        Step(name="modules of an edge device", verb="GET", path="/devices/{p}-e/modules"),
        Step(
            name="delete a system module",
            verb="DELETE",
            path="/devices/{p}-e/modules/$edgeAgent",
            headers=_ANY,
        ),
    ),
)

_BULK = Scenario(
    name="bulk",
    steps=(
        Step(
            name="create two",
            verb="POST",
            path="/devices",
            body=[{"id": "{p}-1", "importMode": "create"}, {"id": "{p}-2", "importMode": "create"}],
        ),
        Step(
            name="create one again",
            verb="POST",
            path="/devices",
            body=[{"id": "{p}-1", "importMode": "create"}],
        ),
        Step(
            name="update a twin",
            verb="POST",
            path="/devices",
            body=[{"id": "{p}-1", "importMode": "updateTwin", "tags": {"a": 1}}],
        ),
        Step(name="nothing", verb="POST", path="/devices", body=[]),
        Step(
            name="delete two",
            verb="POST",
            path="/devices",
            body=[{"id": "{p}-1", "importMode": "delete"}, {"id": "{p}-2", "importMode": "delete"}],
        ),
    ),
)

_TWINS = Scenario(
    name="twins",
    steps=(
        Step(name="get none", verb="GET", path=_TWIN),
        _make(),
        Step(name="get new", verb="GET", path=_TWIN),
        Step(
            name="patch",
            verb="PATCH",
            path=_TWIN,
            body={
                "tags": {"where": {"building": "B1", "floor": 2}},
                "properties": {"desired": {"rate": 5, "list": [1, "two", None, {"three": 3.5}], "on": True}},
            },
            remember=_ETAG,
        ),
        Step(name="get patched", verb="GET", path=_TWIN),
        Step(name="remove by null", verb="PATCH", path=_TWIN, body={"tags": {"where": {"floor": None}}}),
        Step(name="patch by an old etag", verb="PATCH", path=_TWIN, body={"tags": {"a": 1}}, headers=_QUOTED),
        Step(name="patch nothing", verb="PATCH", path=_TWIN, body={}),
        Step(name="patch reported", verb="PATCH", path=_TWIN, body={"properties": {"reported": {"a": 1}}}),
        Step(name="patch with a dot in a name", verb="PATCH", path=_TWIN, body={"tags": {"a.b": 1}}),
        Step(name="patch with a dollar in a name", verb="PATCH", path=_TWIN, body={"tags": {"$a": 1}}),
        Step(name="patch tags by a text", verb="PATCH", path=_TWIN, body={"tags": "text"}),
        Step(
            name="patch eleven deep",
            verb="PATCH",
            path=_TWIN,
            body={"tags": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"k": 1}}}}}}}}}}}},
        ),
        Step(name="patch a long text", verb="PATCH", path=_TWIN, body={"tags": {"a": "x" * 4097}}),
        Step(
            name="patch too much",
            verb="PATCH",
            path=_TWIN,
            body={"tags": {f"n{number}": "x" * 1000 for number in range(9)}},
        ),
        Step(name="replace", verb="PUT", path=_TWIN, body={"tags": {"b": 2}, "properties": {"desired": {}}}),
        Step(name="get replaced", verb="GET", path=_TWIN),
    ),
)

_QUERY = "/devices/query"
_OURS = "deviceId IN ['{p}-d', '{p}-e']"


def _ask(name: str, text: str, rows: int | None = None, headers: Mapping[str, str] | None = None) -> Step:
    until = Until(rows=rows) if rows is not None else None
    return Step(name=name, verb="POST", path=_QUERY, body={"query": text}, until=until, headers=headers or {})


_QUERIES = Scenario(
    name="queries",
    steps=(
        _make(),
        _make("e"),
        Step(name="tag", verb="PATCH", path=_TWIN, body={"tags": {"n": 7, "t": "x"}}),
        _ask("whole twins", f"SELECT * FROM devices WHERE {_OURS}", rows=2),
        _ask("projection", f"SELECT deviceId, tags.n AS n FROM devices WHERE {_OURS} AND tags.n = 7", rows=1),
        _ask("aggregates", f"SELECT COUNT() AS c, SUM(tags.n) AS s FROM devices WHERE {_OURS}"),
        _ask("groups", f"SELECT status, COUNT() AS c FROM devices WHERE {_OURS} GROUP BY status"),
        _ask("functions", f"SELECT deviceId FROM devices WHERE {_OURS} AND IS_DEFINED(tags.n)", rows=1),
        _ask("nothing found", "SELECT * FROM devices WHERE deviceId = '{p}-x'", rows=0),
        _ask("first page", f"SELECT deviceId FROM devices WHERE {_OURS}", rows=1, headers={"x-ms-max-item-count": "1"}),
        _ask("no FROM", "SELECT *"),
        _ask("unknown collection", "SELECT * FROM nothing"),
        _ask("broken text", "SELECT * FROM devices WHERE deviceId = 'open"),
        _ask("bad continuation", f"SELECT * FROM devices WHERE {_OURS}", headers={"x-ms-continuation": "bad"}),
        Step(name="no query", verb="POST", path=_QUERY, body={}),
    ),
)

_CALL = {"methodName": "reboot", "payload": None, "responseTimeoutInSeconds": 5, "connectTimeoutInSeconds": 0}
_METHODS = Scenario(
    name="methods",
    steps=(
        Step(name="on no device", verb="POST", path=f"{_TWIN}/methods", body=_CALL),
        _make(),
        Step(name="on an offline device", verb="POST", path=f"{_TWIN}/methods", body=_CALL),
        Step(name="on no module", verb="POST", path=f"{_TWIN}/modules/m/methods", body=_CALL),
        Step(name="without a name", verb="POST", path=f"{_TWIN}/methods", body={"payload": 1}),
        Step(
            name="with a time limit too short",
            verb="POST",
            path=f"{_TWIN}/methods",
            body=_CALL | {"responseTimeoutInSeconds": 1},
        ),
        Step(
            name="with a time limit too long",
            verb="POST",
            path=f"{_TWIN}/methods",
            body=_CALL | {"connectTimeoutInSeconds": 301},
        ),
    ),
)

_JOB, _METHOD_JOB, _LATER = "/jobs/v2/{p}-job", "/jobs/v2/{p}-call", "/jobs/v2/{p}-later"
_UPDATE = {
    "type": "scheduleUpdateTwin",
    "queryCondition": "deviceId = '{p}-d'",
    "updateTwin": {"etag": "*", "tags": {"job": 1}},
    "maxExecutionTimeInSeconds": 60,
}
_ENDED = Until(at="status", one_of=("completed", "failed", "cancelled"))
_JOBS = Scenario(
    name="jobs",
    steps=(
        _make(),
        _ask("the index knows the device", "SELECT deviceId FROM devices WHERE deviceId = '{p}-d'", rows=1),
        Step(name="get none", verb="GET", path=_JOB),
        Step(name="create", verb="PUT", path=_JOB, body={"jobId": "{p}-job", **_UPDATE}),
        Step(name="get when ended", verb="GET", path=_JOB, until=_ENDED),
        Step(name="create again", verb="PUT", path=_JOB, body={"jobId": "{p}-job", **_UPDATE}),
        Step(name="cancel when ended", verb="POST", path=f"{_JOB}/cancel"),
        Step(name="cancel none", verb="POST", path="/jobs/v2/{p}-none/cancel"),
        Step(
            name="call an offline device",
            verb="PUT",
            path=_METHOD_JOB,
            body={
                "jobId": "{p}-call",
                "type": "scheduleDeviceMethod",
                "queryCondition": "deviceId = '{p}-d'",
                "cloudToDeviceMethod": {"methodName": "reboot", "payload": None, "responseTimeoutInSeconds": 5},
                "maxExecutionTimeInSeconds": 60,
            },
        ),
        Step(name="get the call when ended", verb="GET", path=_METHOD_JOB, until=_ENDED),
        Step(name="bad etag", verb="PUT", path=_LATER, body=_UPDATE | {"updateTwin": {"etag": "x", "tags": {}}}),
        Step(name="unknown type", verb="PUT", path=_LATER, body=_UPDATE | {"type": "scheduleNothing"}),
        Step(name="bad id", verb="PUT", path="/jobs/v2/{p}_job", body=_UPDATE),
        Step(name="too far ahead", verb="PUT", path=_LATER, body=_UPDATE | {"startTime": "2999-01-01T00:00:00Z"}),
    ),
)

_C = "/configurations/{p}-c"
_CONFIGURATION = {
    "id": "{p}-c",
    "content": {"deviceContent": {"properties.desired.compare": {"rate": 1}}},
    "targetCondition": "tags.compare = '{p}'",
    "priority": 1,
    "metrics": {"queries": {"seen": "SELECT deviceId FROM devices WHERE tags.compare = '{p}'"}},
}
_CONFIGURATIONS = Scenario(
    name="configurations",
    steps=(
        Step(name="get none", verb="GET", path=_C),
        Step(name="create", verb="PUT", path=_C, body=_CONFIGURATION, remember=_ETAG),
        # A hub counts for the metrics some time after the creation; the results are absent until then.
        Step(name="get", verb="GET", path=_C, until=Until(at="systemMetrics.results.targetedCount", one_of=(0,))),
        Step(name="create again", verb="PUT", path=_C, body=_CONFIGURATION),
        Step(name="update by etag", verb="PUT", path=_C, body=_CONFIGURATION | {"priority": 2}, headers=_QUOTED),
        Step(name="update stale", verb="PUT", path=_C, body=_CONFIGURATION, headers=_STALE),
        Step(name="no content", verb="PUT", path="/configurations/{p}-x", body={"id": "{p}-x", "targetCondition": "*"}),
        Step(
            name="bad condition",
            verb="PUT",
            path="/configurations/{p}-x",
            body=_CONFIGURATION | {"id": "{p}-x", "targetCondition": "tags.a ="},
        ),
        Step(
            name="test queries",
            verb="POST",
            path="/configurations/testQueries",
            body={"targetCondition": "tags.a = 1", "customMetricQueries": {"m": "SELECT deviceId FROM devices"}},
        ),
        Step(
            name="test bad queries",
            verb="POST",
            path="/configurations/testQueries",
            body={"targetCondition": "tags.a =", "customMetricQueries": {"m": "SELECT"}},
        ),
        Step(
            name="apply to no device",
            verb="POST",
            path="/devices/{p}-x/applyConfigurationContent",
            body={"modulesContent": {}},
        ),
        Step(name="delete stale", verb="DELETE", path=_C, headers=_STALE),
        Step(name="delete", verb="DELETE", path=_C, headers=_ANY),
        Step(name="delete none", verb="DELETE", path=_C, headers=_ANY),
    ),
)

_C2D = Scenario(
    name="cloud to device",
    steps=(
        Step(name="purge of no device", verb="DELETE", path="/devices/{p}-d/commands"),
        _make(),
        Step(name="purge of nothing", verb="DELETE", path="/devices/{p}-d/commands"),
    ),
)

_ERRORS = Scenario(
    name="refusals",
    steps=(
        Step(name="no token", verb="GET", path=_D, caller=Caller.NOBODY),
        Step(name="a forged token", verb="GET", path=_D, caller=Caller.FORGER),
        Step(name="garbage for a token", verb="GET", path=_D, caller=Caller.NOBODY, headers={"Authorization": "x"}),
        Step(name="an unknown path", verb="GET", path="/nothing/here"),
        Step(name="a verb that is not known", verb="PATCH", path=_D, body={}),
        Step(name="no JSON", verb="PUT", path=_D, data=b'{"deviceId": '),
        Step(name="a list for an object", verb="PUT", path=_D, data=b"[]"),
        Step(name="no body", verb="PUT", path=_D, data=b""),
        Step(name="statistics of devices", verb="GET", path="/statistics/devices"),
        Step(name="statistics of the service", verb="GET", path="/statistics/service"),
    ),
)

SCENARIOS: tuple[Scenario, ...] = (
    _ERRORS,
    _DEVICES,
    _X509,
    _MODULES,
    _BULK,
    _TWINS,
    _QUERIES,
    _METHODS,
    _JOBS,
    _CONFIGURATIONS,
    _C2D,
)
