"""Deployment templates on disk as the IoT Edge tools lay them out: the template, modules/*/module.json and .env."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from hub_tools.service import Json
from iot_core.errors import ManifestError
from iot_core.manifest import expand_template as expand_text
from iot_core.manifest import module_images, parse_manifest, parse_module_json

__all__ = ["expand_template", "read_env_file", "read_variables"]

MODULES_FOLDER = "modules"
ENV_FILE = ".env"
ARM64_MACHINES = frozenset({"aarch64", "arm64"})


def expand_template(
    template: Path, *, variables: Mapping[str, str] | None = None, target_platform: str | None = None
) -> Json:
    """The checked deployment `{"modulesContent": …}` of a template file; a finished manifest comes back unchanged.

    Variables are `variables` alone, or else those of the environment with `.env` beside the template over them.
    `target_platform` ("amd64", "arm64v8") chooses the images; this machine's by default. Raises `ManifestError` that
    names the file.
    """
    values = read_variables(template.parent) if variables is None else variables
    wanted = target_platform or ("arm64v8" if platform.machine() in ARM64_MACHINES else "amd64")
    text = _read(template)
    images = _images(template.parent / MODULES_FOLDER, values, wanted)
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


def _images(folder: Path, variables: Mapping[str, str], wanted: str) -> dict[str, str]:
    """Placeholder → image of every module in `folder` that has a module.json."""
    images: dict[str, str] = {}
    for description in sorted(folder.glob("*/module.json")):
        module = parse_module_json(_read(description), variables, path=str(description))
        images |= module_images(description.parent.name, module, platform=wanted)
    return images


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", path=str(file)) from error
