"""`edgeyard new`: things of one's own, begun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.render import stdout
from edgeyard.scaffold import Kind, NewModule, create_module

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Begin a module of your own.")


@app.callback()
def _group() -> None:
    """A group even while it has one command."""


@app.command()
def module(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a-z, 0-9 and _: the folder, the module and its image.")],
    kind: Annotated[Kind, typer.Option(help="filter: messages in, some out; http: an interface; ml: a model.")] = (
        Kind.FILTER
    ),
    model: Annotated[Path | None, typer.Option(help="ONNX file; makes the kind ml.", show_default=False)] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="ml: on an NVIDIA GPU.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="MODULE/OUTPUT", help="Where its messages come from.", show_default=False),
    ] = None,
) -> None:
    """Write a new module: folder, Dockerfiles, settings, test, and its entries in template, routes and edgeyard.toml.

    Example: edgeyard new module pressure --kind filter
    """
    chosen = Kind.ML if model is not None and kind is Kind.FILTER else kind
    wanted = NewModule(name=name, kind=chosen, model=model, gpu=gpu, source=source)
    for path in create_module(Path(), wanted):
        stdout.print(str(path), markup=False, soft_wrap=True)
    stdout.print(
        f"Next: pytest tests/modules/{name}, edgeyard edge set-modules, edgeyard watch {name}",
        markup=False,
        soft_wrap=True,
    )
