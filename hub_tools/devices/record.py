"""A device as files of devices hold it, and its dotted columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub_tools.service import Json

__all__ = ["DeviceRecord", "cell_of", "flat", "value_of"]


@dataclass(frozen=True, kw_only=True)
class DeviceRecord:
    """What a file says of a device; what is None or not named in `tags` and `desired` is left as it is.

    In `tags` and `desired`, which are merge patches, None deletes. `line` is where it stands in a file, from 1.
    """

    device_id: str
    status: str | None = None
    edge: bool | None = None
    tags: Json = field(default_factory=dict)
    desired: Json = field(default_factory=dict)
    primary_key: str | None = field(default=None, repr=False)
    secondary_key: str | None = field(default=None, repr=False)
    line: int = 0

    @classmethod
    def of_twin(cls, twin: Json, *, desired: bool = False) -> DeviceRecord:
        """The record of a device's twin, with its desired properties where they are wanted."""
        properties = twin.get("properties", {}).get("desired", {}) if desired else {}
        return cls(
            device_id=str(twin["deviceId"]),
            status=twin.get("status"),
            edge=bool(twin.get("capabilities", {}).get("iotEdge")),
            tags=twin.get("tags", {}),
            desired={name: value for name, value in properties.items() if not name.startswith("$")},
        )

    def document(self) -> Json:
        """The record in a JSON file."""
        keys = {"primaryKey": self.primary_key, "secondaryKey": self.secondary_key}
        fields = {"deviceId": self.device_id, "status": self.status, "edge": self.edge, **keys}
        sections = {"tags": self.tags, "desired": self.desired}
        return {
            **{name: value for name, value in fields.items() if value is not None},
            **{name: section for name, section in sections.items() if section},
        }

    def cells(self) -> dict[str, str]:
        """The record in a CSV file, by column."""
        document = self.document()
        edge = {"edge": "yes" if document.pop("edge", False) else "no"}
        return {**{name: cell_of(value) for name, value in flat(document)}, **edge}


def flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested objects by dotted names; an empty object is a value."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def cell_of(value: Any) -> str:
    """A value as text that `value_of` reads back: texts as they are unless they would be read as something else."""
    if isinstance(value, str) and value.strip() and value_of(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def value_of(text: str) -> Any:
    """JSON where the text is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
