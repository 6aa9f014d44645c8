"""The provisioning service over HTTPS, raw: registrations of devices, enrolments as services manage them."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from edgeyard.cli.main import run
from iot_core import sas
from iot_core.connection_string import ConnectionString
from iot_core.identity import derive_device_key
from local_hub.environment import hub_environment
from tests.software_tpm import SoftwareTpm

VERSION = "api-version=2021-10-01"
BY_KEY = {"attestation": {"type": "symmetricKey"}}
Call = Callable[..., Awaitable[Any]]


def new_id(prefix: str = "sn") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def scope(hub: Any) -> str:
    return hub_environment(hub.home)["PROVISIONING_IDSCOPE"]


@pytest.fixture
def service(hub: Any, rest: Any) -> Call:
    """Calls with the token of provisioningserviceowner."""
    owner = ConnectionString.parse(hub_environment(hub.home)["DPS_CONNECTION_STRING"])

    async def call(verb: str, path: str, body: Any = None, **options: Any) -> Any:
        return await rest.call(verb, path, body, token=sas.token_for(owner, time.time()), query=VERSION, **options)

    return call


@pytest.fixture
def device(hub: Any, rest: Any) -> Call:
    """Calls as a device, with a key."""

    async def call(verb: str, registration_id: str, key: str, end: str = "", body: Any = None) -> Any:
        resource = f"{scope(hub)}/registrations/{registration_id}"
        token = sas.sign(resource, key, int(time.time()) + 60, "registration")
        return await rest.call(verb, f"/{resource}{end}", body, token=token, query="api-version=2019-03-31")

    return call


async def enrolled(service: Call, path: str, **body: Any) -> dict[str, str]:
    answer = await service("PUT", path, {**BY_KEY, **body})
    assert answer.status == 200, answer
    keys: dict[str, str] = answer.body["attestation"]["symmetricKey"]
    return keys


async def test_a_device_registers_asks_and_looks_itself_up(hub: Any, service: Call, device: Call) -> None:
    name = new_id()
    key = (await enrolled(service, f"/enrollments/{name}", registrationId=name))["primaryKey"]
    accepted = await device("PUT", name, key, "/register", {"registrationId": name, "payload": {"a": 1}})
    assert (accepted.status, accepted.body["status"]) == (202, "assigning")
    assert accepted.headers["Retry-After"] == "3"
    done = await device("GET", name, key, f"/operations/{accepted.body['operationId']}")
    assert (done.status, done.body["status"]) == (200, "assigned")
    state = done.body["registrationState"]
    assert (state["deviceId"], state["assignedHub"], "payload" in state) == (name, hub.host, False)
    assert (await device("POST", name, key, "", {"registrationId": name})).body == state
    seen = await service("GET", f"/registrations/{name}")
    assert (seen.body["etag"], seen.headers["ETag"]) == (state["etag"], f'"{state["etag"]}"')
    assert (await service("GET", f"/enrollments/{name}")).body["registrationState"] == seen.body


async def test_refusals_have_the_service_s_shape(service: Call, device: Call, rest: Any, hub: Any) -> None:
    name = new_id()
    key = (await enrolled(service, f"/enrollments/{name}"))["primaryKey"]
    expected = {
        401002: await device("PUT", new_id(), key, "/register"),
        404202: await device("POST", name, key),
        404203: await device("GET", name, key, "/operations/4.none"),
        404201: await service("GET", f"/enrollments/{new_id()}"),
        400000: await device("PUT", name, key, "/register", {"registrationId": "another"}),
    }
    for code, answer in expected.items():
        assert (answer.body["errorCode"], answer.status) == (code, code // 1000)
        assert set(answer.body) == {"errorCode", "trackingId", "message", "timestampUtc"}
        assert answer.headers["x-ms-error-code"]
    path = f"/{scope(hub)}/registrations/{name}/register"
    assert (await rest.call("PUT", path, {}, token=None)).body["errorCode"] == 401002


async def test_only_the_owner_of_the_service_manages_enrollments(rest: Any, hub: Any) -> None:
    body, path = {**BY_KEY}, f"/enrollments/{new_id()}"
    for token in ("owner", None):
        assert (await rest.call("PUT", path, body, token=token)).body["errorCode"] == 401002
    owner = ConnectionString.parse(hub_environment(hub.home)["DPS_CONNECTION_STRING"])
    narrow = sas.sign(
        f"{hub.host}/enrollments/x", owner.shared_access_key or "", 2_000_000_000, "provisioningserviceowner"
    )
    assert (await rest.call("PUT", path, body, token=narrow)).status == 401
    assert (await rest.call("GET", "/devices", token=sas.token_for(owner, time.time()))).status == 401


@pytest.mark.parametrize("kind", ["enrollments", "enrollmentGroups"])
async def test_etags_guard_enrollments(service: Call, kind: str) -> None:
    path = f"/{kind}/{new_id('e')}"
    made = await service("PUT", path, BY_KEY)
    assert (await service("PUT", path, BY_KEY)).status == 409
    changed = await service("PUT", path, {**BY_KEY, "provisioningStatus": "disabled"}, If_Match=made.headers["ETag"])
    assert (changed.status, changed.body["provisioningStatus"]) == (200, "disabled")
    assert changed.body["attestation"] == made.body["attestation"]
    assert (await service("PUT", path, BY_KEY, If_Match=made.headers["ETag"])).status == 412
    read = await service("GET", path)
    assert (read.body["attestation"], read.body["etag"]) == ({"type": "symmetricKey"}, changed.body["etag"])
    assert (await service("POST", f"{path}/attestationmechanism")).body == made.body["attestation"]
    assert (await service("DELETE", path, If_Match='"other"')).status == 412
    assert (await service("DELETE", path, If_Match=f'"{changed.body["etag"]}"')).status == 204
    assert (await service("GET", path)).status == 404


async def test_queries_come_in_pages(service: Call) -> None:
    names = sorted(new_id("q") for _ in range(3))
    for name in names:
        await service("PUT", f"/enrollmentGroups/{name}", BY_KEY)
    found, headers = [], {"x-ms-max-item-count": "2"}
    while True:
        body = {"query": "SELECT * FROM enrollmentGroups"}
        page = await service("POST", "/enrollmentGroups/query", body, **headers)
        assert page.headers["x-ms-item-type"] == "enrollmentGroup"
        found += [row["enrollmentGroupId"] for row in page.body]
        if "x-ms-continuation" not in page.headers:
            break
        headers["x-ms-continuation"] = page.headers["x-ms-continuation"]
    assert [name for name in found if name in names] == names
    wanted = {"query": f"SELECT * FROM enrollmentGroups WHERE enrollmentGroupId = '{names[1]}'"}
    assert [row["enrollmentGroupId"] for row in (await service("POST", "/enrollmentGroups/query", wanted)).body] == [
        names[1]
    ]
    assert (await service("POST", "/enrollmentGroups/query", {"query": "SELECT * FROM devices"})).status == 400


async def test_a_bulk_call_tells_what_failed(service: Call) -> None:
    one, other = new_id(), new_id()
    await service("PUT", f"/enrollments/{one}", BY_KEY)
    items = [{"registrationId": name, **BY_KEY} for name in (one, other)]
    answer = await service("POST", "/enrollments", {"enrollments": items, "mode": "create"})
    assert (answer.status, answer.body["isSuccessful"]) == (200, False)
    assert [error["registrationId"] for error in answer.body["errors"]] == [one]
    gone = await service("POST", "/enrollments", {"enrollments": items, "mode": "delete"})
    assert gone.body == {"isSuccessful": True, "errors": []}
    assert (await service("POST", "/enrollments", {"enrollments": items, "mode": "shuffle"})).status == 400


async def test_registrations_of_a_group_are_listed_and_forgotten(service: Call, device: Call) -> None:
    group, name = new_id("g"), new_id()
    keys = await enrolled(service, f"/enrollmentGroups/{group}", enrollmentGroupId=group)
    key = derive_device_key(keys["primaryKey"], name)
    assert (await device("PUT", name, key, "/register")).status == 202
    listed = await service("POST", f"/registrations/{group}/query")
    assert ([row["deviceId"] for row in listed.body], listed.headers["x-ms-item-type"]) == (
        [name],
        "deviceRegistration",
    )
    assert (await service("DELETE", f"/registrations/{name}")).status == 204
    assert (await device("POST", name, key)).body["errorCode"] == 404202


async def test_a_tpm_is_challenged_and_then_registers(hub: Any, rest: Any, service: Call) -> None:
    tpm, name = SoftwareTpm(), new_id()
    attestation = {"type": "tpm", "tpm": {"endorsementKey": tpm.endorsement_key}}
    assert (await service("PUT", f"/enrollments/{name}", {"attestation": attestation})).status == 200
    resource, body = f"{scope(hub)}/registrations/{name}", {"registrationId": name, "tpm": tpm.keys}
    asked = partial(rest.call, query="api-version=2019-03-31")
    challenge = await asked("PUT", f"/{resource}/register", body, token="")
    assert (challenge.status, challenge.body["errorCode"], challenge.body["keyName"]) == (401, 401002, "registration")
    token = tpm.sign(base64.b64decode(challenge.body["authenticationKey"]), resource)
    taken = await asked("PUT", f"/{resource}/register", body, token=token)
    done = await asked("GET", f"/{resource}/operations/{taken.body['operationId']}", token=token)
    key = tpm.unwrap(base64.b64decode(done.body["registrationState"]["tpm"]["authenticationKey"]))
    found = (await rest.call("GET", f"/devices/{name}")).body["authentication"]["symmetricKey"]["primaryKey"]
    assert base64.b64decode(found) == key


async def test_another_tpm_is_not_challenged(hub: Any, rest: Any, service: Call) -> None:
    tpm, name = SoftwareTpm(), new_id()
    attestation = {"type": "tpm", "tpm": {"endorsementKey": tpm.storage_root_key}}
    assert (await service("PUT", f"/enrollments/{name}", {"attestation": attestation})).status == 200
    path = f"/{scope(hub)}/registrations/{name}/register"
    for body in ({"registrationId": name, "tpm": tpm.keys}, {"registrationId": name}, None):
        answer = await rest.call("PUT", path, body, token="", query="api-version=2019-03-31")
        assert (answer.status, "authenticationKey" in answer.body) == (401, False)


async def test_what_is_not_built_is_refused_by_name(service: Call) -> None:
    attestation = {"type": "x509", "x509": {"caReferences": {"primary": "factory"}}}
    answer = await service("PUT", f"/enrollmentGroups/{new_id()}", {"attestation": attestation})
    assert (answer.status, answer.body["errorCode"]) == (501, 501000)
    assert "caReferences" in answer.body["message"]


def test_the_command_line_enrols_lists_and_deletes(hub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    home, name, group = ["--home", str(hub.home)], new_id(), new_id("g")
    assert run(["dps", "enroll", name, "--tag", "site=B1", "--edge", *home]) == 0
    assert len(base64.b64decode(capsys.readouterr().out)) == 64
    assert run(["dps", "group", group, "--device", "d", *home]) == 0
    assert len(base64.b64decode(capsys.readouterr().out)) == 32
    assert run(["dps", "list", "--output", "json", *home]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {name, group} <= {row.get("registrationId") or row["enrollmentGroupId"] for row in rows}
    assert run(["dps", "enroll", name, *home]) == 1
    assert "enrolled already" in capsys.readouterr().err
    assert run(["dps", "enroll", name, "--replace", *home]) == 0
    assert run(["dps", "delete", name, *home]) == run(["dps", "delete", group, "--group", *home]) == 0
    assert run(["dps", "delete", name, *home]) == 1
    assert run(["dps", "enroll", name, "--certificate", "no-such-file", *home]) == 2


def test_the_environment_names_the_service(hub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hub", "env", "--format", "json", "--home", str(hub.home)]) == 0
    variables = json.loads(capsys.readouterr().out)
    assert variables["PROVISIONING_HOST"] == hub.host
    assert variables["PROVISIONING_IDSCOPE"].startswith("0ne")
    assert "SharedAccessKeyName=provisioningserviceowner" in variables["DPS_CONNECTION_STRING"]


async def test_faults_strike_a_registration_by_its_id(service: Call, device: Call, fault: Any) -> None:
    name = new_id()
    keys = await enrolled(service, f"/enrollments/{name}")
    await fault("throttle", name)
    answer = await device("PUT", name, keys["primaryKey"], "/register", {"registrationId": name})
    assert (answer.status, answer.body["errorCode"], answer.headers["Retry-After"]) == (429, 429001, "3")


async def test_a_refuse_fault_is_a_wrong_key(service: Call, device: Call, fault: Any) -> None:
    name = new_id()
    keys = await enrolled(service, f"/enrollments/{name}")
    await fault("refuse", name)
    assert (await device("PUT", name, keys["primaryKey"], "/register", {"registrationId": name})).status == 401
