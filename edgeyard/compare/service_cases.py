"""More scenarios over HTTPS: digital twins, messages of devices, file upload, import and export jobs."""

from __future__ import annotations

from edgeyard.compare.steps import DEVICE_KEY, Caller, Scenario, Step

__all__ = ["SCENARIOS"]

_SAS = {"type": "sas", "symmetricKey": {"primaryKey": DEVICE_KEY, "secondaryKey": DEVICE_KEY}}
_DEVICE, _DIGITAL = "/devices/{p}-s", "/digitaltwins/{p}-s"
_MAKE = Step(name="make device s", verb="PUT", path=_DEVICE, body={"deviceId": "{p}-s", "authentication": _SAS})


def _patch(name: str, *operations: dict[str, object], etag: str = "") -> Step:
    headers = {"If-Match": etag} if etag else {}
    return Step(name=name, verb="PATCH", path=_DIGITAL, body=list(operations), headers=headers)


def _set(path: str, value: object) -> dict[str, object]:
    return {"op": "add", "path": path, "value": value}


_DIGITAL_TWINS = Scenario(
    name="digital twins",
    steps=(
        Step(name="get none", verb="GET", path=_DIGITAL),
        _MAKE,
        Step(name="get new", verb="GET", path=_DIGITAL),
        _patch("set a property and a component's", _set("/rate", 5), _set("/thermostat1/target", 21.5)),
        Step(name="get changed", verb="GET", path=_DIGITAL),
        Step(name="the device twin", verb="GET", path="/twins/{p}-s"),
        _patch("set a whole component", _set("/thermostat1", {"other": 1, "$metadata": {}})),
        _patch("remove both", {"op": "remove", "path": "/rate"}, {"op": "remove", "path": "/thermostat1"}),
        Step(name="get emptied", verb="GET", path=_DIGITAL),
        _patch("nothing"),
        _patch("by an old etag", _set("/rate", 6), etag='"AAAAAAAAAAE="'),
        _patch("an unknown operation", {"op": "move", "path": "/rate", "from": "/x"}),
        _patch("a path of three names", _set("/a/b/c", 1)),
        _patch("a path that is no name", _set("/1a", 1)),
        _patch("an array for a value", _set("/rate", [1])),
        Step(name="an object for a patch", verb="PATCH", path=_DIGITAL, body={"op": "add"}),
        Step(name="a command of an offline device", verb="POST", path=f"{_DIGITAL}/commands/reboot", body={}),
        Step(
            name="a component's command of an offline device",
            verb="POST",
            path=f"{_DIGITAL}/components/thermostat1/commands/report",
            body={},
        ),
        Step(
            name="a command with a time limit too short",
            verb="POST",
            path=f"{_DIGITAL}/commands/reboot",
            body={},
            query="responseTimeoutInSeconds=1",
        ),
    ),
)

_DEVICE_HTTPS = Scenario(
    name="devices over https",
    steps=(
        _MAKE,
        Step(
            name="send",
            verb="POST",
            path=f"{_DEVICE}/messages/events",
            data=b'{"t": 1}',
            headers={"iothub-app-room": "1"},
            caller=Caller.DEVICE,
        ),
        Step(name="receive nothing", verb="GET", path=f"{_DEVICE}/messages/deviceBound", caller=Caller.DEVICE),
        Step(
            name="complete what is not locked",
            verb="DELETE",
            path=f"{_DEVICE}/messages/deviceBound/0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e",
            caller=Caller.DEVICE,
        ),
        Step(name="a device may not read its twin here", verb="GET", path="/twins/{p}-s", caller=Caller.DEVICE),
        Step(name="a device may not read the registry", verb="GET", path=_DEVICE, caller=Caller.DEVICE),
        Step(name="without a token", verb="POST", path=f"{_DEVICE}/messages/events", data=b"x", caller=Caller.NOBODY),
    ),
)

_UPLOAD_ENDED = {"correlationId": "{correlation}", "isSuccess": False, "statusCode": 500, "statusDescription": "none"}
_FILES = Scenario(
    # Every upload is given up: nothing is put into anybody's storage.
    name="file upload",
    steps=(
        _MAKE,
        Step(
            name="begin",
            verb="POST",
            path=f"{_DEVICE}/files",
            body={"blobName": "a.txt"},
            caller=Caller.DEVICE,
            remember={"correlation": "correlationId"},
        ),
        Step(
            name="give up",
            verb="POST",
            path=f"{_DEVICE}/files/notifications",
            body=_UPLOAD_ENDED,
            caller=Caller.DEVICE,
        ),
        Step(
            name="give up again",
            verb="POST",
            path=f"{_DEVICE}/files/notifications",
            body=_UPLOAD_ENDED,
            caller=Caller.DEVICE,
        ),
        Step(name="without a name", verb="POST", path=f"{_DEVICE}/files", body={}, caller=Caller.DEVICE),
    ),
)

_CONTAINER = "https://127.0.0.1:9/{p}?sv=2018-03-28&sr=c&sp=rwdl&se=2001-01-01T00%3A00%3A00Z&sig=bm8%3D"
_TRANSFERS = Scenario(
    # No job begins: a container that can be used would be somebody's.
    name="import and export jobs",
    steps=(
        Step(name="get none", verb="GET", path="/jobs/{p}-none"),
        Step(name="an unknown type", verb="POST", path="/jobs/create", body={"type": "nothing"}),
        Step(name="export to no container", verb="POST", path="/jobs/create", body={"type": "export"}),
        Step(
            name="export to a container that cannot be reached",
            verb="POST",
            path="/jobs/create",
            body={"type": "export", "outputBlobContainerUri": _CONTAINER},
        ),
        Step(
            name="import from a container that cannot be reached",
            verb="POST",
            path="/jobs/create",
            body={"type": "import", "inputBlobContainerUri": _CONTAINER, "outputBlobContainerUri": _CONTAINER},
        ),
    ),
)

SCENARIOS: tuple[Scenario, ...] = (_DIGITAL_TWINS, _DEVICE_HTTPS, _FILES, _TRANSFERS)
