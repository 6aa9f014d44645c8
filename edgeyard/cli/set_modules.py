"""`edgeyard edge set-modules`: one device gets a deployment of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json, print_note, stdout

if TYPE_CHECKING:
    from hub_tools.device_modules import DeviceModules, ModulesPreview

__all__ = ["set_modules"]


def set_modules(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Deployment template or manifest.")] = Path(
        "deployment.template.json"
    ),
    *,
    device: Annotated[str, typer.Option("--device", "-d", metavar="DEVICE_ID", help="The edge device.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and stop there.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    yes: YesOption = False,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Give one edge device a deployment, after showing what it changes there.

    Example: edgeyard edge set-modules --device edge-1 deployment.template.json
    """
    from hub_tools.device_modules import read_device_modules

    modules = read_device_modules(file)
    target = find_hub(hub, home=home)
    preview = run_async(_preview(target, device, modules))
    if output is Output.TABLE:
        _show(modules, preview)
    applies = bool(preview.difference) and not dry_run
    if applies:
        confirm_change(target, f"replace the modules of {device}", yes=yes)
        run_async(_apply(target, device, modules))
    _tell(device, modules, preview, applies, output)


async def _preview(target: TargetHub, device: str, modules: DeviceModules) -> ModulesPreview:
    from hub_tools.device_modules import preview_modules

    async with target.service() as service:
        return await preview_modules(service, device, modules)


async def _apply(target: TargetHub, device: str, modules: DeviceModules) -> None:
    async with target.service() as service:
        await service.apply_configuration_content(device, modules.content)


def _show(modules: DeviceModules, preview: ModulesPreview) -> None:
    from edgeyard.cli.differences import print_difference

    for finding in modules.warnings:
        print_note(str(finding))
    if preview.deployments:
        names = ", ".join(preview.deployments)
        print_note(f"{names} is an automatic deployment of this device, and will win over what is set here")
    print_difference(preview.difference)


def _tell(device: str, modules: DeviceModules, preview: ModulesPreview, applied: bool, output: Output) -> None:
    names = ", ".join(modules.names) or "none"
    if output is Output.JSON:
        print_json(
            {
                "device": device,
                "applied": applied,
                "modules": modules.names,
                "difference": preview.difference.to_json(),
                "deployments": list(preview.deployments),
                "warnings": [finding.to_json() for finding in modules.warnings],
            }
        )
    elif applied:
        stdout.print(f"{device}: {len(modules.names)} modules deployed: {names}", markup=False)
    elif preview.difference:
        stdout.print(f"{device}: nothing was changed (--dry-run)", markup=False)
    else:
        stdout.print(f"{device}: has this deployment already, nothing to change", markup=False)
