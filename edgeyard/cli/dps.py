"""`edgeyard dps`: enrolments of the Device Provisioning Service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.cli.hubs import (
    HomeOption,
    TargetHub,
    YesOption,
    authority_for,
    confirm_change,
    home_folder,
    run_async,
)
from edgeyard.cli.render import Output, print_json, print_table, stdout
from hub_tools.assignments import parse_assignments
from hub_tools.provisioning import EnrollmentKind, RestProvisioningService, attestation_of
from iot_core.connection_string import ConnectionString
from iot_core.identity import derive_device_key
from local_hub.environment import hub_environment

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Enrol devices with the Device Provisioning Service.")

DpsOption = Annotated[
    str | None,
    typer.Option(
        "--dps",
        metavar="CONNECTION_STRING",
        help="Connection string of provisioningserviceowner. Default: DPS_CONNECTION_STRING, else the local hub's.",
        show_default=False,
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, JSON for machines.")]
CertificateOption = Annotated[
    Path | None,
    typer.Option(help="PEM file to attest by. Default: a symmetric key, which is printed.", show_default=False),
]
TagOption = Annotated[
    list[str] | None, typer.Option(help="Tag NAME=VALUE of the device's twin; may be repeated.", show_default=False)
]
DesiredOption = Annotated[
    list[str] | None, typer.Option(help="Desired property NAME=VALUE; may be repeated.", show_default=False)
]
EdgeOption = Annotated[bool, typer.Option("--edge", help="IoT Edge devices.")]
DisabledOption = Annotated[bool, typer.Option("--disabled", help="Known, but not let in.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Write over an enrolment of that id.")]


@app.command()
def enroll(
    registration_id: Annotated[str, typer.Argument(metavar="REGISTRATION_ID")],
    device_id: Annotated[
        str | None, typer.Option(help="Id on the hub. Default: the registration id.", show_default=False)
    ] = None,
    certificate: CertificateOption = None,
    tag: TagOption = None,
    desired: DesiredOption = None,
    edge: EdgeOption = False,
    disabled: DisabledOption = False,
    replace: ReplaceOption = False,
    dps: DpsOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Enrol one device and print the key it registers with.

    Example: edgeyard dps enroll pump-7 --tag site=B1
    """
    kind = EnrollmentKind.INDIVIDUAL
    body = {**_body(kind, certificate, tag, desired, edge, disabled), "deviceId": device_id or registration_id}
    enrollment = _put(kind, registration_id, body, replace, _target(dps, home), yes)
    _print_key(enrollment)


@app.command()
def group(
    group_id: Annotated[str, typer.Argument(metavar="GROUP_ID")],
    certificate: CertificateOption = None,
    device: Annotated[
        str | None, typer.Option(metavar="REGISTRATION_ID", help="Print this device's own key.", show_default=False)
    ] = None,
    tag: TagOption = None,
    desired: DesiredOption = None,
    edge: EdgeOption = False,
    disabled: DisabledOption = False,
    replace: ReplaceOption = False,
    dps: DpsOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Enrol a group of devices and print its key, or with --device the key derived for one device.

    Example: edgeyard dps group line-1 --certificate factory-ca.pem
    """
    kind = EnrollmentKind.GROUP
    body = _body(kind, certificate, tag, desired, edge, disabled)
    enrollment = _put(kind, group_id, body, replace, _target(dps, home), yes)
    _print_key(enrollment, device)


@app.command("list")
def list_enrollments(output: OutputOption = Output.TABLE, dps: DpsOption = None, home: HomeOption = None) -> None:
    """List all enrolments, individual ones first.

    Example: edgeyard dps list --output json
    """
    enrollments = run_async(_list(_target(dps, home)))
    if output is Output.JSON:
        print_json(enrollments)
        return
    rows = ((*_name(one), one["attestation"]["type"], one.get("provisioningStatus", "")) for one in enrollments)
    print_table(("KIND", "ID", "ATTESTATION", "STATUS"), rows)


@app.command()
def delete(
    enrollment_id: Annotated[str, typer.Argument(metavar="ID")],
    of_group: Annotated[bool, typer.Option("--group", help="A group's id, not a device's.")] = False,
    dps: DpsOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Delete an enrolment; devices that registered through it stay on the hub.

    Example: edgeyard dps delete pump-7
    """
    kind = EnrollmentKind.GROUP if of_group else EnrollmentKind.INDIVIDUAL
    target = _target(dps, home)
    confirm_change(target, f"delete the enrolment {enrollment_id}", yes=yes)

    async def work() -> None:
        async with _service(target) as service:
            await service.delete(kind, enrollment_id)

    run_async(work())


def _body(
    kind: EnrollmentKind,
    certificate: Path | None,
    tags: list[str] | None,
    desired: list[str] | None,
    edge: bool,
    disabled: bool,
) -> dict[str, Any]:
    twin = {
        "tags": parse_assignments(tags or [], "--tag"),
        "properties": {"desired": parse_assignments(desired or [], "--desired")},
    }
    return {
        "attestation": attestation_of(kind, certificate),
        "capabilities": {"iotEdge": edge},
        "provisioningStatus": "disabled" if disabled else "enabled",
        **({"initialTwin": twin} if tags or desired else {}),
    }


def _put(
    kind: EnrollmentKind, enrollment_id: str, body: dict[str, Any], replace: bool, target: TargetHub, yes: bool
) -> dict[str, Any]:
    confirm_change(target, f"enrol {enrollment_id}", yes=yes)

    async def work() -> dict[str, Any]:
        async with _service(target) as service:
            return await service.put(kind, enrollment_id, body, replace=replace)

    return run_async(work())


async def _list(target: TargetHub) -> list[dict[str, Any]]:
    async with _service(target) as service:
        return [one for kind in EnrollmentKind for one in await service.list(kind)]


def _print_key(enrollment: dict[str, Any], device: str | None = None) -> None:
    """The primary key, or the one derived from it; nothing for certificates."""
    key = enrollment["attestation"].get("symmetricKey", {}).get("primaryKey")
    if key:
        stdout.print(derive_device_key(key, device) if device else key, markup=False, soft_wrap=True)


def _name(enrollment: dict[str, Any]) -> tuple[str, str]:
    if "registrationId" in enrollment:
        return "individual", enrollment["registrationId"]
    return "group", enrollment["enrollmentGroupId"]


def _service(target: TargetHub) -> RestProvisioningService:
    return RestProvisioningService(target.connection_string, ca_file=target.ca_file)


def _target(option: str | None, home: Path | None) -> TargetHub:
    """The service that a command means: ``--dps``, else DPS_CONNECTION_STRING, else that of the local hub."""
    folder = home_folder(home)
    text = option or os.environ.get("DPS_CONNECTION_STRING") or hub_environment(folder)["DPS_CONNECTION_STRING"]
    named = ConnectionString.parse(text)
    return TargetHub(connection_string=named, ca_file=authority_for(named.host_name, folder))
