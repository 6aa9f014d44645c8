"""A new module in a project: its folder, its test, its settings' schema, its entries in template and engine table."""

from __future__ import annotations

import keyword
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from edgeyard.scaffold.changes import Changes
from edgeyard.scaffold.json_text import insert_member
from edgeyard.scaffold.onnx_model import read_model
from hub_tools.deployments import expand_template
from iot_core.errors import InputError, ManifestError
from iot_core.manifest.envelope import AGENT, DESIRED, HUB

__all__ = ["Kind", "NewModule", "create_module"]

TEMPLATE, TABLE, FRAME = "deployment.template.json", "edgeyard.toml", "modules/common/frame.py"
GPU_FILE = "Dockerfile.gpu.amd64"
IMAGES = "[engine.process.images]"
FIRST_PORT = 5002
"""Below are those of the sentiment container and the scorer."""
SOURCE = "replay/temperature"
LEAF_DEVICES = "/messages/* WHERE NOT IS_DEFINED($connectionModuleId)"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,28}[a-z0-9]|[a-z]")
_SOURCE = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_*-]+")
_PORT = re.compile(r'"(\d{4,5})(?:/tcp)?"')
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_OWN_IMPORTS = re.compile(r"(?:^from modules\..*\n)+", re.MULTILINE)


class Kind(StrEnum):
    """What a new module is a start for."""

    FILTER = "filter"
    HTTP = "http"
    ML = "ml"

    @property
    def input(self) -> str | None:
        """The name of its input."""
        return {"filter": "messages", "http": None, "ml": "telemetry"}[self.value]

    @property
    def output(self) -> str:
        """The name of its output."""
        return {"filter": "passed", "http": "received", "ml": "scores"}[self.value]


MEMORY = {Kind.FILTER: 256, Kind.HTTP: 256, Kind.ML: 1024}
"""MiB that the container may have."""


@dataclass(frozen=True, kw_only=True)
class NewModule:
    """What is wanted. `model` is the ONNX file of an ml module, `source` the MODULE/OUTPUT its messages come from."""

    name: str
    kind: Kind = Kind.FILTER
    model: Path | None = None
    gpu: bool = False
    source: str | None = None


def create_module(project: Path, wanted: NewModule) -> list[Path]:
    """Write the module into the project and return the files, made and changed. All or nothing.

    Raises InputError and ManifestError for what cannot be, before anything is written.
    """
    _check(project, wanted)
    template = project / TEMPLATE
    text = template.read_text(encoding="utf-8")
    values = _values(wanted, text)
    changes = Changes()
    for path, content in _files(wanted, values):
        changes.add(project / path, content)
    changes.change(template, _template_with(text, wanted, int(values["PORT"])))
    changes.change(project / TABLE, _table_with((project / TABLE).read_text(encoding="utf-8"), wanted, values["PORT"]))
    schema = project / "deployments" / "schemas" / f"{wanted.name}.json"
    changes.add(schema, "")
    with changes.carried_out():
        _write_schema(project, wanted.name, values["CLASS"], schema)
        expand_template(template, variables=_variables(project))
    return changes.paths


def _check(project: Path, wanted: NewModule) -> None:
    name = wanted.name
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise InputError(f"module {name[:60]!r}: a name has up to 30 of a-z, 0-9 and _, and begins with a letter")
    for file in (TEMPLATE, TABLE, FRAME):
        if not (project / file).is_file():
            raise InputError(f"{project / file} does not exist: give the command in the folder of an Edgeyard project")
    for folder in (project / "modules" / name, project / "tests" / "modules" / name):
        if folder.exists():
            raise InputError(f"{folder} exists already: choose another name, or remove it")
    if (wanted.kind is Kind.ML) != (wanted.model is not None):
        raise InputError("--kind ml goes with --model FILE.onnx, and the other kinds without")
    if wanted.gpu and wanted.kind is not Kind.ML:
        raise InputError("--gpu is for --kind ml: the other kinds compute nothing")
    if wanted.source is not None and (wanted.kind is Kind.HTTP or _SOURCE.fullmatch(wanted.source) is None):
        raise InputError("--from takes MODULE/OUTPUT, and goes with the kinds filter and ml")


def _values(wanted: NewModule, template: str) -> dict[str, str]:
    """What stands in the files for @NAME@ and so on."""
    taken = {int(number) for number in _PORT.findall(template)}
    port = next(number for number in range(FIRST_PORT, 65_536) if number not in taken)
    return {
        "NAME": wanted.name,
        "CLASS": "".join(part.capitalize() for part in wanted.name.split("_")),
        "UPPER": wanted.name.upper(),
        "PORT": str(port),
        "INPUTS": f'"{wanted.kind.input}"' if wanted.kind.input else "",
        "OUTPUTS": f'"{wanted.kind.output}"',
        "GPU_PLATFORM": ',\n        "gpu.amd64": "./Dockerfile.gpu.amd64"' if wanted.gpu else "",
    }


def _files(wanted: NewModule, values: dict[str, str]) -> Iterator[tuple[Path, str | bytes]]:
    module = Path("modules") / wanted.name
    for name, text in _sources(wanted.kind).items():
        if name == GPU_FILE and not wanted.gpu:
            continue
        path = Path("tests") / module / f"test_{wanted.name}.py" if name == "test.py" else module / name
        yield path, _filled(text, values)
    if wanted.model is not None:
        yield module / "models" / "model.onnx", read_model(wanted.model)


def _sources(kind: Kind) -> dict[str, str]:
    """The files of a kind by name; its own come before those of every kind."""
    found: dict[str, str] = {}
    files = sorted(resources.files("edgeyard.scaffold.files").iterdir(), key=lambda file: file.name)
    for group in ("every", kind.value):
        for file in files:
            if file.name.startswith(f"{group}-"):
                name = file.name.removeprefix(f"{group}-").removesuffix(".txt")
                found[name] = file.read_text(encoding="utf-8")
    return found


def _filled(text: str, values: dict[str, str]) -> str:
    filled = re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text)
    return _OWN_IMPORTS.sub(lambda match: "".join(sorted(match[0].splitlines(keepends=True))), filled)


def _template_with(text: str, wanted: NewModule, port: int) -> str:
    """The template with the module, its desired properties and its routes."""
    content = "modulesContent"
    text = insert_member(text, [content, AGENT, DESIRED, "modules"], wanted.name, _entry(wanted, port))
    for route, value in _routes(wanted, text).items():
        text = insert_member(text, [content, HUB, DESIRED, "routes"], route, {"route": value})
    return insert_member(text, [content], wanted.name, {DESIRED: {"reportingInterval": 10}})


def _entry(wanted: NewModule, port: int) -> dict[str, Any]:
    host: dict[str, Any] = {"Memory": MEMORY[wanted.kind] << 20}
    options: dict[str, Any] = {"HostConfig": host}
    if wanted.kind is Kind.HTTP:
        options["ExposedPorts"] = {f"{port}/tcp": {}}
        host["PortBindings"] = {f"{port}/tcp": [{"HostPort": str(port)}]}
    if wanted.gpu:
        host["DeviceRequests"] = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
    image = f"${{MODULES.{wanted.name}{'.gpu.amd64' if wanted.gpu else ''}}}"
    return {
        "version": "1.0",
        "type": "docker",
        "status": "running",
        "restartPolicy": "always",
        "settings": {"image": image, "createOptions": options},
    }


def _routes(wanted: NewModule, template: str) -> dict[str, str]:
    stem = re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), wanted.name)
    routes = {f"{stem}ToHub": f"FROM /messages/modules/{wanted.name}/outputs/* INTO $upstream"}
    if into := wanted.kind.input:
        sink = f'BrokeredEndpoint("/modules/{wanted.name}/inputs/{into}")'
        routes[f"{stem}Input"] = f"FROM {_source(wanted, template)} INTO {sink}"
    return routes


def _source(wanted: NewModule, template: str) -> str:
    """The source that was named, else for a filter the replay module's temperatures, else what devices behind the edge
    send."""
    plays = wanted.kind is Kind.FILTER and "${MODULES.replay" in template
    if wanted.source is None and not plays:
        return LEAF_DEVICES
    module, _, output = (wanted.source or SOURCE).partition("/")
    return f"/messages/modules/{module}/outputs/{output}"


def _table_with(text: str, wanted: NewModule, port: str) -> str:
    """The engine table with the command of the module's image."""
    image = f"edgeyard/{wanted.name}"
    extra = f', "--host", "{{host}}", "--port", "{{port:{port}/tcp}}"' if wanted.kind is Kind.HTTP else ""
    line = f'"{image}" = ["{{python}}", "-m", "modules.{wanted.name}"{extra}]'
    lines = text.splitlines()
    if IMAGES not in lines:
        lines += ["", IMAGES]
    own = [number for number, each in enumerate(lines) if each.startswith('"edgeyard/') and each.endswith("]")]
    lines.insert((own[-1] if own else lines.index(IMAGES)) + 1, line)
    written = "\n".join(lines) + "\n"
    try:
        tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{TABLE} cannot take the image {image}: {error}") from None
    return written


def _write_schema(project: Path, name: str, class_name: str, file: Path) -> None:
    """By the new module's own code, in a process in which the project's modules are the ones that are imported."""
    command = [
        sys.executable,
        "-m",
        "device.schema",
        f"modules.{name}.settings:{class_name}Settings",
        str(file.resolve()),
    ]
    ours = str(Path(__file__).resolve().parents[2])
    search_path = os.pathsep.join(filter(None, [str(project.resolve()), ours, os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": search_path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ManifestError(f"its settings cannot be read: {(done.stderr.splitlines() or ['?'])[-1]}", path=name)


def _variables(project: Path) -> dict[str, str]:
    """A value for every variable of the project: what they are is not the question here."""
    files = [project / TEMPLATE, *(project / "modules").glob("*/module.json")]
    return {name: "0" for file in files for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))}
