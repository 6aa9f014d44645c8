"""`edgeyard up`, and going back a version, which is the same with another program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.exits import FAILED
from edgeyard.cli.findings import print_findings
from edgeyard.cli.hub_controls import seconds_of
from edgeyard.cli.hubs import (
    HomeOption,
    HubOption,
    TargetHub,
    YesOption,
    home_folder,
    run_async,
)
from edgeyard.cli.render import Output, print_json, print_table, stdout
from edgeyard.cli.stack_options import (
    CONFIGURATIONS_MAX,
    EnvironmentOption,
    LimitOption,
    NameOption,
    OutputOption,
    ProgramArgument,
    ProgramOption,
    hub_of,
    opened,
)
from edgeyard.cli.stack_watch import Screen
from hub_tools.manifests import Deployment, Layer
from hub_tools.manifests.secrets import resolve
from hub_tools.registries import fleet_platforms, missing_images
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier, StackFailedError, StackRefusedError, UpResult, ValueOf
from hub_tools.stacks.history import Version, previous_version, read_version
from hub_tools.stacks.opening import OpenedStack
from hub_tools.stacks.preview import Preview
from hub_tools.stacks.state import StackFolder
from hub_tools.stacks.waiting import WaitReport, WaitRules
from iot_core.errors import InputError
from iot_core.manifest.findings import Finding, Severity

__all__ = ["rollback", "up"]

SHOWN_DEVICES = 20
"""Devices named in a table before it says how many more there are."""
Items = Mapping[str, Deployment | Layer]
MinSuccessOption = Annotated[
    float, typer.Option(metavar="PERCENT", help="Of the devices seen lately, so many must succeed.", min=0, max=100)
]
TimeoutOption = Annotated[str, typer.Option(metavar="TIME", help="How long to wait for devices: 90s, 10m, 1h30m.")]
SeenOption = Annotated[str, typer.Option(metavar="TIME", help="Wait for devices that were active within this time.")]
NoImagesOption = Annotated[
    bool, typer.Option("--no-image-check", help="Do not look the images up in their registries.")
]


def up(
    file: ProgramArgument = None,
    environment: EnvironmentOption = None,
    plan: Annotated[
        Path | None, typer.Option(help="Apply just what `preview --out FILE` showed.", show_default=False)
    ] = None,
    min_success: MinSuccessOption = 100.0,
    timeout: TimeoutOption = "10m",
    seen: SeenOption = "1h",
    no_image_check: NoImagesOption = False,
    limit: LimitOption = CONFIGURATIONS_MAX,
    output: OutputOption = Output.TABLE,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Apply a stack: new deployments come beside the old, which go once devices report success.

    A failure, the end of the time or Ctrl-C leaves the old deployments in force.

    Exit codes: 0 applied, 1 failed, 2 it could not be applied as it is.

    Example: edgeyard up, or in full: edgeyard stack up deployments/stack.py --min-success 95
    """
    rules = WaitRules(min_success=min_success, timeout_s=seconds_of(timeout), seen_s=seconds_of(seen))
    stack = opened(file, environment, name, home)
    target = hub_of(stack, hub, home)
    fingerprint = _fingerprint(plan, stack, target) if plan else None
    with StackFolder(home_folder(home), stack.name, stack.environment.name) as folder:
        run = _Run(stack, target, folder, rules, limit=limit, output=output, yes=yes, images=not no_image_check)
        run.apply(stack.stack.items, fingerprint=fingerprint)


def rollback(
    version: Annotated[
        int | None, typer.Argument(help="Of `stack history`. Default: the one before.", show_default=False)
    ] = None,
    file: ProgramOption = None,
    environment: EnvironmentOption = None,
    min_success: MinSuccessOption = 100.0,
    timeout: TimeoutOption = "10m",
    seen: SeenOption = "1h",
    no_image_check: NoImagesOption = False,
    limit: LimitOption = CONFIGURATIONS_MAX,
    output: OutputOption = Output.TABLE,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Apply an earlier version again, just as `up` does; it becomes the newest version.

    Example: edgeyard stack rollback 3
    """
    rules = WaitRules(min_success=min_success, timeout_s=seconds_of(timeout), seen_s=seconds_of(seen))
    stack = opened(file, environment, name, home)
    target = hub_of(stack, hub, home)
    with StackFolder(home_folder(home), stack.name, stack.environment.name) as folder:
        wanted = _wanted_version(folder, version, target)
        run = _Run(stack, target, folder, rules, limit=limit, output=output, yes=yes, images=not no_image_check)
        run.apply(wanted.items, note=f"version {wanted.number} again")


class _Run:
    """One `up`, of the program or of an earlier version."""

    def __init__(
        self,
        stack: OpenedStack,
        target: TargetHub,
        folder: StackFolder,
        rules: WaitRules,
        *,
        limit: int,
        output: Output,
        yes: bool,
        images: bool,
    ) -> None:
        self._stack, self._target, self._folder, self._rules = stack, target, folder, rules
        self._limit, self._output, self._yes = limit, output, yes
        self._images = images and not target.local

    def apply(self, items: Items, *, fingerprint: str | None = None, note: str = "") -> None:
        """Apply, and say what came of it."""
        try:
            result = run_async(self._apply(items, fingerprint, note))
        except StackFailedError as error:
            _print_failure(error.report, self._output)
            raise
        if not result.agreed:
            raise typer.Exit(FAILED)
        _print_result(result, self._output)

    async def _apply(self, items: Items, fingerprint: str | None, note: str) -> UpResult:
        async with self._target.service() as service:
            secrets = self._stack.secrets()

            async def look_up_images() -> None:
                if self._images:
                    await _require_images(service, items, secrets)

            with Screen(self._target, self._output, yes=self._yes, before=look_up_images) as screen:
                applier = Applier(
                    service=service,
                    folder=self._folder,
                    stack=self._stack.name,
                    environment=self._stack.environment.name,
                    value_of=secrets,
                    watcher=screen,
                    checks=self._stack.checks,
                    limit=self._limit,
                    wait=self._rules,
                )
                return await applier.up(items, fingerprint=fingerprint, note=note)


async def _require_images(service: RestHubService, items: Items, value_of: ValueOf) -> None:
    """StackRefusedError when an image is not in its registry for a platform of the hub's edge devices."""
    logins = {
        name: replace(login, password=resolve(login.password, value_of))
        for item in items.values()
        if isinstance(item, Deployment)
        for name, login in item.registries.items()
    }
    findings = await missing_images(items.values(), await fleet_platforms(service), logins)
    if findings:
        print_findings([("images", finding) for finding in findings])
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise StackRefusedError(_first(errors))


def _first(errors: list[Finding]) -> str:
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{errors[0].rule} {errors[0].path}: {errors[0].message}. {errors[0].fix}{more}"


def _fingerprint(file: Path, stack: OpenedStack, target: TargetHub) -> str:
    """That of the plan; InputError when it is not one of this stack, environment and hub."""
    try:
        plan = Preview.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"the plan {file} cannot be read: {error}") from None
    except InputError as error:
        raise InputError(f"the plan {file}: {error}") from None
    made_for = (plan.stack, plan.environment, plan.host_name)
    if made_for != (stack.name, stack.environment.name, target.host_name):
        raise InputError(f"the plan {file} is for {'/'.join(made_for[:2])} on {made_for[2]}")
    return plan.fingerprint


def _wanted_version(folder: StackFolder, number: int | None, target: TargetHub) -> Version:
    state = folder.load(target.host_name)
    return previous_version(folder, state) if number is None else read_version(folder, number)


def _print_result(result: UpResult, output: Output) -> None:
    changed = result.preview.has_changes
    report = result.report
    if output is Output.JSON:
        print_json(
            {
                "version": result.version,
                "changed": changed,
                "result": report.to_json() if report else None,
                "preview": result.preview.to_json(),
            }
        )
        return
    if not changed or report is None:
        return
    line = f"version {result.version} is in force"
    if report.total:
        line += f": {report.succeeded} of {report.total} devices report success"
    if report.offline:
        line += f"; {len(report.offline)} not seen lately follow when they come back"
    stdout.print(line, markup=False, soft_wrap=True)
    _print_devices(report)


def _print_failure(report: WaitReport, output: Output) -> None:
    if output is Output.JSON:
        print_json({"version": None, "changed": False, "result": report.to_json()})
    else:
        _print_devices(report)


def _print_devices(report: WaitReport) -> None:
    rows = [(device, "failed", reason) for device, reason in sorted(report.failed.items())]
    rows += [(device, "silent", "it has not reported the new deployment yet") for device in report.pending]
    rows += [(device, "offline", "it was not seen lately") for device in report.offline]
    if rows:
        print_table(("DEVICE", "STATE", "REASON"), rows[:SHOWN_DEVICES])
    if len(rows) > SHOWN_DEVICES:
        stdout.print(f"and {len(rows) - SHOWN_DEVICES} more; all of them with --output json")
