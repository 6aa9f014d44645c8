"""`edgeyard watch`: modules of the local edge start afresh when their code is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.edge import DeviceOption, running_edge
from edgeyard.cli.hubs import HomeOption
from edgeyard.cli.render import print_note, stdout
from edgeyard.watching import folders_of, watch_modules
from iot_core.errors import InputError
from local_edge import control

__all__ = ["watch"]


def watch(
    module: Annotated[
        list[str] | None, typer.Argument(help="Default: all that have a folder.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the folders of modules are.")] = Path("modules"),
    device: DeviceOption = None,
    home: HomeOption = None,
) -> None:
    """Restart a module of the running local edge within two seconds of a change of its files, until Ctrl-C.

    Example: edgeyard watch scorer
    """
    edge = running_edge(device, home)
    rows = {row.name: row.image for row in control.list_modules(edge)}
    unknown = sorted(set(module or ()) - set(rows))
    if unknown:
        raise InputError(f"the edge runs no module {', '.join(unknown)}; it runs {', '.join(sorted(rows)) or 'none'}")
    found = {name: folders_of(name, image, folder) for name, image in rows.items() if name in (module or rows)}
    folders = {name: paths for name, paths in found.items() if paths}
    for name in sorted(set(module or ()) - set(folders)):
        raise InputError(f"module {name} has no folder in {folder}: name the folder of its parents with --folder")
    if not folders:
        raise InputError(f"no module of the edge has a folder in {folder}")
    for name, paths in sorted(folders.items()):
        print_note(f"{name}: {', '.join(map(str, paths))}")

    def say(name: str, file: Path, seconds: float) -> None:
        stdout.print(f"{name} restarted {seconds:.1f} s after a change of {file}", markup=False, soft_wrap=True)

    try:
        watch_modules(edge, folders, on_restart=say)
    except KeyboardInterrupt:
        print_note("stopped")
