"""module.json: how the image of a module is named and built, and the placeholders a template may use for it.

Source: the IoT Edge development tools (iotedgedev, the Visual Studio Code extension) and their module template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import ManifestError
from iot_core.manifest import reader
from iot_core.manifest.variables import expand_variables

__all__ = ["ModuleDescription", "module_images", "parse_module_json"]

DEFAULT_PLATFORM = "amd64"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleDescription:
    """The "image" part of module.json; `platforms` maps a platform ("amd64", "amd64.debug") to its Dockerfile."""

    repository: str
    version: str = "0.0.0"
    platforms: Mapping[str, str] = field(default_factory=dict)
    build_options: tuple[str, ...] = ()
    context_path: str = "."

    def tag(self, platform: str, container_tag: str = "") -> str:
        """The image of a platform: "repository:version[-container tag]-platform", the repository in lower case."""
        middle = f"-{container_tag}" if container_tag else ""
        return f"{self.repository.lower()}:{self.version}{middle}-{platform}"


def parse_module_json(source: str, variables: Mapping[str, str], *, path: str = "module.json") -> ModuleDescription:
    """Reads module.json, with $NAME and ${NAME} replaced from `variables`.

    Raises ManifestError for text that is not JSON, a field of a wrong type and a variable that is not given.
    """
    expanded = expand_variables(source, variables)
    if expanded.unresolved:
        left = ", ".join(sorted(expanded.unresolved - {"$schema"}))
        if left:
            raise ManifestError(f"{left} is not defined: set it in the environment or .env", path=path)
    try:
        document: Any = json.loads(expanded.text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"is not JSON: {error}", path=path) from None
    if not isinstance(document, dict):
        raise ManifestError("must be an object", path=path)
    return _description(document, path)


def module_images(
    name: str, module: ModuleDescription, *, platform: str = DEFAULT_PLATFORM, container_tag: str = ""
) -> dict[str, str]:
    """Every placeholder that names the module → its image. `name` is the folder, or a path relative to the template.

    A folder gives ${MODULES.name}, ${MODULES.name.amd64} and ${MODULES.name.debug}, a path ("./modules/x", "../x")
    gives ${MODULEDIR<path>} and its variants; the plain one stands for `platform`.
    """
    stem = f"MODULEDIR<{name}>" if "/" in name else f"MODULES.{name}"
    images = {f"${{{stem}.{known}}}": module.tag(known, container_tag) for known in module.platforms}
    for suffix, known in (("", platform), (".debug", f"{platform}.debug")):
        if known in module.platforms:
            images[f"${{{stem}{suffix}}}"] = module.tag(known, container_tag)
    return images


def _description(document: Mapping[str, Any], path: str) -> ModuleDescription:
    image, path = reader.required_object(document, "image", path), f"{path}.image"
    tag = reader.required_object(image, "tag", path)
    platforms = reader.optional_object(tag, "platforms", f"{path}.tag")
    options = image.get("buildOptions", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise ManifestError("must be a list of texts", path=f"{path}.buildOptions")
    return ModuleDescription(
        repository=reader.text(image, "repository", path),
        version=reader.text(tag, "version", f"{path}.tag", default="0.0.0"),
        platforms={name: reader.text(platforms, name, f"{path}.tag.platforms") for name in platforms},
        build_options=tuple(options),
        context_path=reader.text(image, "contextPath", path, default="."),
    )
