"""The versions of a stack that were applied from here: their deployments whole, with references in place of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hub_tools.manifests import Deployment, Layer, read_configuration
from hub_tools.stacks.state import StackFolder, State, StateError, read_document, write_document
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject

__all__ = ["Version", "previous_version", "read_version", "read_versions", "write_version"]

Items = Mapping[str, Deployment | Layer]
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version; `ids` are its configurations in the hub by item, `note` says where it came from."""

    number: int
    applied: str
    """When, as IoT Hub writes times."""
    by: str
    items: Items
    ids: Mapping[str, str]
    note: str = ""

    def same_as(self, other: Version) -> bool:
        """Whether both have the same deployments under the same ids."""
        one, two = self.to_json(), other.to_json()
        return all(one[name] == two[name] for name in ("ids", "items"))

    def to_json(self) -> JsonObject:
        return {
            "format": FORMAT,
            "version": self.number,
            "applied": self.applied,
            "by": self.by,
            "note": self.note,
            "ids": dict(self.ids),
            "items": {name: item.to_configuration() for name, item in self.items.items()},
        }

    @classmethod
    def from_json(cls, document: JsonObject) -> Version:
        if document["format"] != FORMAT:
            raise StateError(f"a version of format {document['format']}; this Edgeyard reads {FORMAT}")
        return cls(
            number=document["version"],
            applied=document["applied"],
            by=document["by"],
            note=document["note"],
            ids=document["ids"],
            items={name: read_configuration(body) for name, body in document["items"].items()},
        )


def write_version(folder: StackFolder, version: Version) -> None:
    """Keep a version; one of the same number, which was never in force, is replaced."""
    write_document(folder.history / f"{version.number:04}.json", version.to_json())


def read_version(folder: StackFolder, number: int) -> Version:
    """One version; StateError when it is not there or cannot be read."""
    file = folder.history / f"{number:04}.json"
    if not file.is_file():
        raise StateError(f"there is no version {number} in {folder.history}: see `edgeyard stack history`")
    try:
        return Version.from_json(read_document(file))
    except (KeyError, TypeError, ManifestError) as error:
        raise StateError(f"{file} is damaged: {error}") from None


def read_versions(folder: StackFolder, state: State) -> list[Version]:
    """The versions that were in force, the oldest first."""
    numbers = sorted(int(file.stem) for file in folder.history.glob("*.json") if file.stem.isdecimal())
    return [read_version(folder, number) for number in numbers if number <= state.last]


def previous_version(folder: StackFolder, state: State) -> Version:
    """The one before that in force, or the last one where nothing is; StateError when there is none."""
    earlier = [version for version in read_versions(folder, state) if version.number != state.current]
    if not earlier:
        raise StateError(f"there is no earlier version in {folder.history}")
    return earlier[-1]
