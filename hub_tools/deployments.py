"""Deployment templates on disk as the IoT Edge tools lay them out: the template, modules/*/module.json and .env."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from hub_tools.service import Json
from iot_core.errors import ManifestError
from iot_core.manifest import ModuleDescription, module_images, parse_manifest, parse_module_json
from iot_core.manifest import expand_template as expand_text

__all__ = [
    "described_images",
    "expand_template",
    "module_images_below",
    "read_env_file",
    "read_variables",
    "target_platform_here",
]

MODULES_FOLDER = "modules"
MODULE_FILE = "module.json"
CONTAINER_TAG = "CONTAINER_TAG"
ENV_FILE = ".env"
ARM64_MACHINES = frozenset({"aarch64", "arm64"})
_MODULEDIR = re.compile(r"\$\{MODULEDIR<([^<>]+)>")


def expand_template(
    template: Path, *, variables: Mapping[str, str] | None = None, target_platform: str | None = None
) -> Json:
    """The checked deployment `{"modulesContent": …}` of a template file; a finished manifest comes back unchanged.

    Variables are `variables` alone, or else those of the environment with `.env` beside the template over them.
    `target_platform` ("amd64", "arm64v8") chooses the images; this machine's by default. Raises `ManifestError` that
    names the file.
    """
    values = read_variables(template.parent) if variables is None else variables
    text = _read(template)
    images = module_images_below(template.parent, values, target_platform or target_platform_here(), text=text)
    try:
        deployment = expand_text(text, variables=values, images=images)
        parse_manifest(deployment)
    except ManifestError as error:
        raise ManifestError(str(error), path=str(template)) from error
    return deployment


def read_variables(folder: Path) -> dict[str, str]:
    """The environment, and over it what `.env` in `folder` sets, as the IoT Edge tools take them."""
    return {**os.environ, **read_env_file(folder / ENV_FILE)}


def read_env_file(file: Path) -> dict[str, str]:
    """The variables that a file of NAME=VALUE lines sets; none when there is no such file."""
    return {name: value for name, value in dotenv_values(file).items() if value is not None}


def target_platform_here() -> str:
    """The platform of images for this machine: "amd64" or "arm64v8"."""
    return "arm64v8" if platform.machine() in ARM64_MACHINES else "amd64"


def module_images_below(
    folder: Path, variables: Mapping[str, str], wanted: str, *, text: str | None = None
) -> dict[str, str]:
    """Placeholder → image of every module in `folder`/modules that has a module.json.

    With the `text` of a template only of the modules that it names, those of ${MODULEDIR<path>} too, whose path is
    relative to `folder`. The variable CONTAINER_TAG becomes a part of every tag, as the IoT Edge tools have it.
    """
    return {name: image for name, (image, _) in described_images(folder, variables, wanted, text=text).items()}


def described_images(
    folder: Path, variables: Mapping[str, str], wanted: str, *, text: str | None = None
) -> dict[str, tuple[str, ModuleDescription]]:
    """The same with what module.json says of each."""
    return {
        placeholder: (image, module)
        for name, is_path, module in _descriptions(folder, variables, text)
        for placeholder, image in module_images(
            name, module, platform=wanted, container_tag=variables.get(CONTAINER_TAG, ""), is_path=is_path
        ).items()
    }


def _descriptions(
    folder: Path, variables: Mapping[str, str], text: str | None
) -> Iterator[tuple[str, bool, ModuleDescription]]:
    for file in sorted((folder / MODULES_FOLDER).glob("*/module.json")):
        name = file.parent.name
        if text is None or f"${{MODULES.{name}}}" in text or f"${{MODULES.{name}." in text:
            yield name, False, parse_module_json(_read(file), variables, path=str(file))
    for path in sorted(set(_MODULEDIR.findall(text or ""))):
        file = folder / path / MODULE_FILE
        yield path, True, parse_module_json(_read(file), variables, path=str(file))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", path=str(file)) from error
