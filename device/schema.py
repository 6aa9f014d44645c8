"""Descriptions made from settings classes: JSON Schema for tools, DTDL for IoT Plug and Play.

`deployments/schemas/` holds the JSON Schemas of the settings classes that tools check against; `write_schema` makes
one and `is_current` tells, in a test, that it was not forgotten.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.settings import TwinSettings
from iot_core.errors import SettingsError

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DTDL_CONTEXTS = {2: "dtmi:dtdl:context;2", 3: "dtmi:dtdl:context;3"}
ARRAYS_SINCE = 3  # DTDL version 2 has no arrays in properties.

DTDL_FORMATS = {"date-time": "dateTime", "date": "date", "time": "time", "duration": "duration"}
DTDL_TYPES = {"boolean": "boolean", "integer": "long", "number": "double", "string": "string"}

Json = Any


def json_schema(settings_type: type[TwinSettings]) -> dict[str, Json]:
    """JSON Schema (2020-12) of the desired properties, under their names in the twin; unknown names are allowed."""
    return {"$schema": JSON_SCHEMA_DIALECT, **settings_type.model_json_schema(by_alias=True)}


def schema_text(settings_type: type[TwinSettings]) -> str:
    """The JSON Schema as it stands in a file."""
    return json.dumps(json_schema(settings_type), indent=2, ensure_ascii=False) + "\n"


def write_schema(settings_type: type[TwinSettings], path: Path) -> None:
    """Write the JSON Schema file."""
    path.write_text(schema_text(settings_type), "utf-8")


def is_current(settings_type: type[TwinSettings], path: Path) -> bool:
    """True if the file is what `write_schema` would write."""
    return path.is_file() and path.read_text("utf-8") == schema_text(settings_type)


def dtdl_interface(settings_type: type[TwinSettings], model_id: str, *, version: int = 3) -> dict[str, Json]:
    """DTDL interface with one writable property per setting ("Digital Twins Definition Language", versions 2 and 3).

    `model_id` is a DTMI such as "dtmi:com:example:Pump;1". Limits of values have no place in DTDL. SettingsError for
    a setting whose type DTDL cannot say.
    """
    if version not in DTDL_CONTEXTS:
        raise SettingsError(f"DTDL version {version} is not known: use 2 or 3")
    schema = json_schema(settings_type)
    writer = _DtdlWriter(schema.get("$defs", {}), version)
    return {
        "@context": DTDL_CONTEXTS[version],
        "@id": model_id,
        "@type": "Interface",
        "displayName": settings_type.__name__,
        "contents": [writer.property(name, value) for name, value in schema["properties"].items()],
    }


class _DtdlWriter:
    """Turns the parts of a JSON Schema into DTDL schemas."""

    def __init__(self, definitions: Mapping[str, Json], version: int) -> None:
        self._definitions = definitions
        self._version = version

    def property(self, name: str, schema: Mapping[str, Json]) -> dict[str, Json]:
        described = {"description": schema["description"]} if "description" in schema else {}
        dtdl = self._schema(name, schema)
        return {"@type": "Property", "name": name, **described, "schema": dtdl, "writable": True}

    def _schema(self, name: str, schema: Mapping[str, Json]) -> Json:
        if "$ref" in schema:
            return self._schema(name, self._definitions[schema["$ref"].rsplit("/", 1)[-1]])
        if "anyOf" in schema:
            return self._optional(name, schema["anyOf"])
        if "enum" in schema:
            return _enum(schema)
        kind = schema.get("type")
        if kind == "array":
            return self._array(name, schema)
        if kind == "object":
            return self._object(name, schema)
        if kind in DTDL_TYPES:
            return DTDL_FORMATS.get(schema.get("format", ""), DTDL_TYPES[kind])
        raise SettingsError(f"DTDL cannot describe the type of the setting {name!r}")

    def _optional(self, name: str, choices: list[Mapping[str, Json]]) -> Json:
        real = [choice for choice in choices if choice.get("type") != "null"]
        if len(real) != 1:
            raise SettingsError(f"DTDL cannot describe a choice of types, as in the setting {name!r}")
        return self._schema(name, real[0])

    def _array(self, name: str, schema: Mapping[str, Json]) -> Json:
        if self._version < ARRAYS_SINCE:
            raise SettingsError(f"DTDL version {self._version} has no arrays in properties: {name!r} needs version 3")
        if "items" not in schema:
            raise SettingsError(f"DTDL cannot describe an array of several types, as in the setting {name!r}")
        return {"@type": "Array", "elementSchema": self._schema(name, schema["items"])}

    def _object(self, name: str, schema: Mapping[str, Json]) -> Json:
        if "properties" in schema:
            fields = [
                {"name": field, "schema": self._schema(f"{name}.{field}", value)}
                for field, value in schema["properties"].items()
            ]
            return {"@type": "Object", "fields": fields}
        value = self._schema(name, schema.get("additionalProperties") or {})
        return {
            "@type": "Map",
            "mapKey": {"name": "key", "schema": "string"},
            "mapValue": {"name": "value", "schema": value},
        }


def _enum(schema: Mapping[str, Json]) -> Json:
    values = schema["enum"]
    kind = "integer" if all(isinstance(value, int) for value in values) else "string"
    named = [{"name": _dtdl_name(str(value)), "enumValue": value} for value in values]
    return {"@type": "Enum", "valueSchema": kind, "enumValues": named}


def _dtdl_name(text: str) -> str:
    """DTDL names are letters, digits and underscores, and begin with a letter."""
    name = "".join(char if char.isascii() and char.isalnum() else "_" for char in text).strip("_")
    return name if name[:1].isalpha() else f"v{name}"


def main(arguments: list[str]) -> int:
    """`python -m device.schema module:Class FILE …`: write the JSON Schema of each settings class to the file after
    it."""
    for spec, target in zip(arguments[::2], arguments[1::2], strict=True):
        module, _, name = spec.partition(":")
        write_schema(getattr(importlib.import_module(module), name), Path(target))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
