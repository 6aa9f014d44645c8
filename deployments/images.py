"""The images of the modules in this repository, as their module.json files name them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub_tools.deployments import module_images_below, target_platform_here

__all__ = ["ImageOf", "images_of"]

PROJECT = Path(__file__).resolve().parents[1]

ImageOf = Callable[[str], str]
"""Gives the image of a module: "scorer", or "scorer.gpu.amd64" for one platform of it."""


def images_of(settings: Any) -> ImageOf:
    """Images in the registry and for the platform of an environment's settings (by default this machine's)."""
    platform = settings.get("platform") or target_platform_here()
    found = module_images_below(PROJECT, {"CONTAINER_REGISTRY": settings["registry"]}, platform)
    return lambda name: found[f"${{MODULES.{name}}}"]
