"""`edgeyard dps`: enrolments of the Device Provisioning Service."""

from __future__ import annotations

import os
from http import HTTPStatus
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
from hub_tools.provisioning import EnrollmentKind, RestProvisioningService, allocation_of, attestation_of
from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError, InputError
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
GroupOption = Annotated[bool, typer.Option("--group", help="A group's id, not a device's.")]
DeviceKeyOption = Annotated[
    str | None,
    typer.Option("--device", metavar="REGISTRATION_ID", help="Print this device's own key.", show_default=False),
]
WebhookOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Who allocates the devices: custom allocation.", show_default=False)
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Write over an enrolment of that id.")]


@app.command()
def enroll(
    registration_id: Annotated[str, typer.Argument(metavar="REGISTRATION_ID")],
    device_id: Annotated[
        str | None, typer.Option(help="Id on the hub. Default: the registration id.", show_default=False)
    ] = None,
    certificate: CertificateOption = None,
    tpm: Annotated[
        Path | None,
        typer.Option(
            help="File with the TPM's public endorsement key to attest by (TPM2B_PUBLIC).", show_default=False
        ),
    ] = None,
    webhook: WebhookOption = None,
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
    body = _body(attestation_of(kind, certificate, tpm), webhook, tag, desired, edge, disabled)
    body["deviceId"] = device_id or registration_id
    enrollment = _put(kind, registration_id, body, replace, _target(dps, home), yes)
    _print_key(enrollment)


@app.command()
def group(
    group_id: Annotated[str, typer.Argument(metavar="GROUP_ID")],
    certificate: CertificateOption = None,
    device: DeviceKeyOption = None,
    webhook: WebhookOption = None,
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
    body = _body(attestation_of(kind, certificate), webhook, tag, desired, edge, disabled)
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
def show(
    enrollment_id: Annotated[str, typer.Argument(metavar="ID")],
    of_group: GroupOption = False,
    dps: DpsOption = None,
    home: HomeOption = None,
) -> None:
    """Print an enrolment without its keys, and what became of the devices that registered through it.

    Example: edgeyard dps show line-1 --group
    """

    async def work(target: TargetHub) -> dict[str, Any]:
        async with _service(target) as service:
            found = await service.get(_kind(of_group), enrollment_id)
            return found | ({"registrations": await service.registrations(enrollment_id)} if of_group else {})

    print_json(run_async(work(_target(dps, home))))


@app.command()
def key(
    enrollment_id: Annotated[str, typer.Argument(metavar="ID")],
    of_group: GroupOption = False,
    device: DeviceKeyOption = None,
    dps: DpsOption = None,
    home: HomeOption = None,
) -> None:
    """Print the key of an enrolment, or with --group and --device the key derived for one device.

    Example: edgeyard dps key line-1 --group --device pump-7
    """
    if device is not None and not of_group:
        raise InputError("keys are derived from those of groups: give --group with --device")

    async def work(target: TargetHub) -> dict[str, Any]:
        async with _service(target) as service:
            return await service.attestation(_kind(of_group), enrollment_id)

    attestation = run_async(work(_target(dps, home)))
    if attestation["type"] != "symmetricKey":
        raise InputError(f"{enrollment_id} attests by {attestation['type']}, so it has no key")
    _print_key({"attestation": attestation}, device)


@app.command()
def delete(
    enrollment_id: Annotated[str, typer.Argument(metavar="ID")],
    of_group: GroupOption = False,
    dps: DpsOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Delete an enrolment; devices that registered through it stay on the hub.

    Example: edgeyard dps delete pump-7
    """
    kind, target = _kind(of_group), _target(dps, home)
    confirm_change(target, f"delete the enrolment {enrollment_id}", yes=yes)

    async def work() -> None:
        async with _service(target) as service:
            await service.delete(kind, enrollment_id)

    run_async(work())


def _kind(of_group: bool) -> EnrollmentKind:
    return EnrollmentKind.GROUP if of_group else EnrollmentKind.INDIVIDUAL


def _body(
    attestation: dict[str, Any],
    webhook: str | None,
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
        "attestation": attestation,
        **allocation_of(webhook),
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

    try:
        return run_async(work())
    except HubError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        text = f"{enrollment_id} is enrolled already: give --replace to write over it"
        raise HubError(error.code, error.name, error.status, text) from error


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
    return TargetHub.of_policy(named, authority_for(named.host_name, folder))
