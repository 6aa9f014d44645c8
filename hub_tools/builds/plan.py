"""Which images a deployment template asks to be built, and from what.

Source: the IoT Edge development tools (module.json and the placeholders ${MODULES.name} and ${MODULEDIR<path>}).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub_tools.deployments import MODULES_FOLDER, read_variables
from hub_tools.registries.reference import PLATFORMS
from iot_core.errors import InputError, ManifestError
from iot_core.manifest import ModuleDescription, parse_module_json

__all__ = ["DEFAULT_PLATFORMS", "Build", "plan_builds"]

DEFAULT_PLATFORMS = ("amd64", "arm64v8")
DESCRIPTION = "module.json"
_PLACEHOLDER = re.compile(r"\$\{(?:MODULES\.([^.{}<>]+)|MODULEDIR<([^{}<>]+)>)(?:\.([^{}]+))?\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """One image: `platform` as engines name it ("linux/arm64"), `options` as module.json gives them."""

    module: str
    platform: str
    image: str
    dockerfile: Path
    context: Path
    options: tuple[str, ...] = ()


def plan_builds(
    template: Path,
    *,
    modules: Sequence[str] = (),
    platforms: Collection[str] = DEFAULT_PLATFORMS,
    variables: Mapping[str, str] | None = None,
) -> list[Build]:
    """The images of the modules that a template names, or of `modules` alone, for `platforms` ("amd64", "arm64v8").

    A plain placeholder stands for every one of `platforms`; one that names a platform ("${MODULES.scorer.gpu.amd64}")
    for that one, where it belongs to them. Variables are `variables`, else the environment with .env over it. Raises
    InputError for a module or a Dockerfile that is not there, ManifestError for a module.json that cannot be used.
    """
    _check_platforms(platforms)
    values = read_variables(template.parent) if variables is None else variables
    named = _named(_read(template), template.parent)
    folders = {folder: named.get(folder, {""}) for folder in _folders(modules, named, template.parent)}
    builds = [build for folder, variants in folders.items() for build in _builds(folder, variants, platforms, values)]
    return list({build.image: build for build in builds}.values())


def _check_platforms(platforms: Collection[str]) -> None:
    for platform in platforms:
        if platform not in PLATFORMS:
            raise InputError(f"--platform {platform!r}: give one of {', '.join(PLATFORMS)}")


def _read(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", path=str(template)) from None


def _named(text: str, root: Path) -> dict[Path, set[str]]:
    """Module folder → the platforms that placeholders name for it, "" where one names none."""
    found: dict[Path, set[str]] = {}
    for name, path, platform in _PLACEHOLDER.findall(text):
        folder = root / (path or f"{MODULES_FOLDER}/{name}")
        found.setdefault(folder, set()).add(platform)
    return found


def _folders(modules: Sequence[str], named: Mapping[Path, set[str]], root: Path) -> list[Path]:
    if not modules:
        return list(named)
    by_name = {folder.name: folder for folder in named}
    folders = [by_name.get(name, root / MODULES_FOLDER / name) for name in modules]
    for name, folder in zip(modules, folders, strict=True):
        if not (folder / DESCRIPTION).is_file():
            raise InputError(f"there is no module {name!r}: {folder / DESCRIPTION} does not exist")
    return folders


def _builds(
    folder: Path, variants: Collection[str], platforms: Collection[str], variables: Mapping[str, str]
) -> Iterator[Build]:
    description = _description(folder, variables)
    for known, dockerfile in description.platforms.items():
        if not _is_wanted(known, variants, platforms):
            continue
        file = _below(folder, dockerfile)
        if not file.is_file():
            raise InputError(f"{folder / DESCRIPTION}: the Dockerfile of {known}, {file}, does not exist")
        yield Build(
            module=folder.name,
            platform=PLATFORMS[_architecture(known)],
            image=description.tag(known),
            dockerfile=file,
            context=_below(folder, description.context_path),
            options=description.build_options,
        )


def _below(folder: Path, path: str) -> Path:
    """`folder/path` without "..", still relative where `folder` is."""
    joined = (folder / path).resolve()
    here = Path.cwd()
    return joined.relative_to(here) if not folder.is_absolute() and joined.is_relative_to(here) else joined


def _is_wanted(known: str, variants: Collection[str], platforms: Collection[str]) -> bool:
    """Whether a platform of module.json is built: as itself for a plain placeholder, else when one names it."""
    architecture = _architecture(known)
    if architecture not in PLATFORMS or PLATFORMS[architecture] not in {PLATFORMS[name] for name in platforms}:
        return False
    debug = "debug" in variants and known.endswith(".debug")
    return known in variants or debug or ("" in variants and known == architecture)


def _architecture(known: str) -> str:
    """ "amd64" of "amd64", "amd64.debug" and "gpu.amd64"."""
    parts = known.split(".")
    return next((part for part in parts if part in PLATFORMS), parts[0])


def _description(folder: Path, variables: Mapping[str, str]) -> ModuleDescription:
    file = folder / DESCRIPTION
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"the template names {folder.name}, but {file} cannot be read") from None
    return parse_module_json(text, variables, path=str(file))
