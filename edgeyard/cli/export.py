"""`edgeyard export`: the same modules without IoT Edge, or as the file that az reads."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.render import print_note
from hub_tools.export import ClusterOptions, Exported, Source, read_source, to_compose, to_json, to_kubernetes
from hub_tools.export.kubernetes import AUTOSCALED
from hub_tools.stacks.environments import DEFAULT
from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["export"]


class Form(StrEnum):
    """What an export is for."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    JSON = "json"


FILES = {Form.COMPOSE: "compose.yaml", Form.KUBERNETES: "kubernetes.yaml", Form.JSON: "deployment.json"}
"""The names of files in a folder that is given with --out."""


def export(
    to: Annotated[Form, typer.Option(help="compose, kubernetes or json.")],
    file: Annotated[Path, typer.Argument(help="A template or manifest (.json), or a stack's program (.py).")] = Path(
        "deployment.template.json"
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="File, or folder to write it into. Default: standard output.", show_default=False),
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="amd64 or arm64v8. Default: this machine's.", show_default=False)
    ] = None,
    environment: Annotated[str, typer.Option("--environment", "-e", help="Environment of a stack.")] = DEFAULT,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Item of a stack that the device has; may be repeated. Default: all.", show_default=False),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="kubernetes: modules with host ports get names below it.", show_default=False)
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="kubernetes: namespace.", show_default=False)] = None,
    autoscale: Annotated[
        list[str] | None,
        typer.Option(help="kubernetes: module to scale by its load; may be repeated.", show_default="scorer"),
    ] = None,
    no_probes: Annotated[
        list[str] | None, typer.Option(help="kubernetes: module without probes; may be repeated.", show_default=False)
    ] = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="json: write the values of secrets; needs --out.")
    ] = False,
) -> None:
    """Write a deployment for docker compose, for a Kubernetes cluster, or for the az command line.

    Example: edgeyard export --to kubernetes --domain edge.example.com --out kubernetes.yaml
    """
    if with_secrets and (to is not Form.JSON or out is None):
        raise InputError("--with-secrets writes them into a file: give --to json and --out FILE")
    source = read_source(file, platform=platform, environment=environment, only=only or ())
    cluster = ClusterOptions(
        domain=domain, namespace=namespace, no_probes=no_probes or (), autoscale=autoscale or AUTOSCALED
    )
    exported = _export(source, to, cluster, with_secrets=with_secrets)
    for warning in exported.warnings:
        print_note(f"warning: {warning}")
    if out is None:
        print(exported.text, end="")
    else:
        _write(out / FILES[to] if out.is_dir() else out, exported.text, private=with_secrets)


def _export(source: Source, to: Form, cluster: ClusterOptions, *, with_secrets: bool) -> Exported:
    match to:
        case Form.COMPOSE:
            return to_compose(source)
        case Form.KUBERNETES:
            return to_kubernetes(source, cluster)
        case Form.JSON:
            return to_json(source, with_secrets=with_secrets)


def _write(path: Path, text: str, *, private: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if private:
            write_private(path, text.encode())
        else:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    print_note(f"wrote {path}")
