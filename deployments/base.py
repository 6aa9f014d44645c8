"""The base: the runtime, and the module that plays recorded temperatures and texts in place of sensors."""

from __future__ import annotations

from images import ImageOf

from hub_tools.groups import Group
from hub_tools.manifests import CreateOptions, Deployment, Module

__all__ = ["base", "replay"]


def replay(image_of: ImageOf) -> Module:
    """Outputs "temperature" and "texts"."""
    return Module(
        name="replay",
        image=image_of("replay"),
        version="1.0",
        startup_order=10,
        create_options=CreateOptions.of(memory="256m"),
        desired={"reportingInterval": 1},
    )


def base(devices: Group, image_of: ImageOf) -> Deployment:
    """What every device runs."""
    return Deployment(name="base", target=devices, priority=10, modules=[replay(image_of)])
