"""Whether the images of a deployment are in their registries, for the platforms of the devices."""

from __future__ import annotations

from hub_tools.registries.fleet import fleet_platforms
from hub_tools.registries.lookup import missing_images
from hub_tools.registries.reference import ImageReference, parse_image

__all__ = ["ImageReference", "fleet_platforms", "missing_images", "parse_image"]
