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
    """The "image" part of module.json; `platforms` maps a platform ("amd64", "amd64.debug") to its Dockerfile.

    `inputs` and `outputs` are the names that a route can use, None where the file does not list them. The lists are
    Edgeyard's own; other tools pass over them.
    """

    repository: str
    version: str = "0.0.0"
    platforms: Mapping[str, str] = field(default_factory=dict)
    build_options: tuple[str, ...] = ()
    context_path: str = "."
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None

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
    name: str,
    module: ModuleDescription,
    *,
    platform: str = DEFAULT_PLATFORM,
    container_tag: str = "",
    is_path: bool = False,
) -> dict[str, str]:
    """Every placeholder that names the module → its image. `name` is the folder, or a path relative to the template.

    A folder gives ${MODULES.name}, ${MODULES.name.amd64} and ${MODULES.name.debug}, a path ("./modules/x", "../x")
    or any name with `is_path`, gives ${MODULEDIR<path>} and its variants; the plain one stands for `platform`.
    """
    stem = f"MODULEDIR<{name}>" if is_path or "/" in name else f"MODULES.{name}"
    images = {f"${{{stem}.{known}}}": module.tag(known, container_tag) for known in module.platforms}
    for suffix, known in (("", platform), (".debug", f"{platform}.debug")):
        if known in module.platforms:
            images[f"${{{stem}{suffix}}}"] = module.tag(known, container_tag)
    return images


def _description(document: Mapping[str, Any], file: str) -> ModuleDescription:
    image, path = reader.required_object(document, "image", file), f"{file}.image"
    tag = reader.required_object(image, "tag", path)
    platforms = reader.optional_object(tag, "platforms", f"{path}.tag")
    return ModuleDescription(
        repository=reader.text(image, "repository", path),
        version=reader.text(tag, "version", f"{path}.tag", default="0.0.0"),
        platforms={name: reader.text(platforms, name, f"{path}.tag.platforms") for name in platforms},
        build_options=_texts(image, "buildOptions", path) or (),
        context_path=reader.text(image, "contextPath", path, default="."),
        inputs=_texts(document, "inputs", file),
        outputs=_texts(document, "outputs", file),
    )


def _texts(parent: Mapping[str, Any], key: str, path: str) -> tuple[str, ...] | None:
    texts = parent.get(key)
    if texts is None:
        return None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ManifestError("must be a list of texts", path=f"{path}.{key}")
    return tuple(texts)
