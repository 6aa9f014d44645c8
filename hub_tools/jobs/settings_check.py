"""Values are checked before anything is sent: against the twin's own rules and the settings schema of the devices.

Schemas are those that devices and modules write of their settings (`deployments/schemas/*.json`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from hub_tools.jobs.job import JobSpec
from hub_tools.service import Json
from iot_core.errors import InputError, SettingsError, TwinError
from iot_core.schema import Schema
from iot_core.twin import validate_section

__all__ = ["NO_SCHEMA", "SCHEMAS", "check_values", "read_schema"]

SCHEMAS = Path("deployments/schemas")
NO_SCHEMA = "none"
"""What `--schema` takes to have only the twin's own rules checked."""


def check_values(spec: JobSpec, schema: str | None = None, *, folder: Path = SCHEMAS) -> str:
    """What the desired values were checked against, in words; InputError names the schema and what it refuses.

    `schema` is the name of one in `folder`, a file, or "none"; without it, it is the first in which every value is
    right, of those that know all names of the values.
    """
    _check_twin(spec)
    if not spec.desired or schema == NO_SCHEMA:
        return "the rules of twins only"
    if schema is not None:
        chosen = read_schema(schema, folder)
        if problems := _problems(chosen, spec.desired):
            raise InputError(f"--desired: {chosen.name} refuses it: {'; '.join(problems)}")
        return chosen.name
    return _check_fitting(spec.desired, _all_schemas(folder))


def read_schema(name: str, folder: Path = SCHEMAS) -> Schema:
    """A schema by its name in the folder, or by its file; InputError."""
    file = Path(name) if name.endswith(".json") or "/" in name else folder / f"{name}.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise InputError(f"--schema {name}: {file} is no JSON object")
        return Schema(document, name=file.name)
    except (OSError, ValueError) as error:
        there = ", ".join(sorted(each.stem for each in folder.glob("*.json"))) or "none"
        raise InputError(f"--schema {name}: {file} cannot be read ({error}); in {folder} there are: {there}") from None


def _check_twin(spec: JobSpec) -> None:
    try:
        validate_section("desired", spec.desired)
        validate_section("tags", spec.tags)
    except TwinError as error:
        raise InputError(f"the job's values are none that a twin can hold: {error}") from None


def _all_schemas(folder: Path) -> list[Schema]:
    found = []
    for file in sorted(folder.glob("*.json"), key=lambda file: ("device" not in file.stem, file.stem)):
        try:
            found.append(read_schema(file.stem, folder))
        except SettingsError:
            continue  # One that cannot be read here may still be named, and is refused then.
    return found


def _check_fitting(desired: Json, schemas: Iterable[Schema]) -> str:
    fitting = [schema for schema in schemas if desired.keys() <= schema.properties.keys()]
    if not fitting:
        return f"the rules of twins only: no schema knows {', '.join(desired)}"
    for schema in fitting:
        if not _problems(schema, desired):
            return schema.name
    first = fitting[0]
    raise InputError(
        f"--desired: {first.name} refuses it: {'; '.join(_problems(first, desired))} (--schema names another, or none)"
    )


def _problems(schema: Schema, desired: Json) -> list[str]:
    """A null takes the setting back to its default, so it is right for every setting that there is."""
    problems = [f"{name}: there is no such setting" for name in desired if name not in schema.properties]
    for name, value in desired.items():
        if name in schema.properties and value is not None:
            problems += schema.problems_of(name, value)
    return problems
