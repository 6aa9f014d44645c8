"""Names of images, as container engines read them.

Source: OCI distribution specification 1.1, "Pulling manifests"; the defaults are Docker's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from iot_core.errors import ManifestError

__all__ = ["PLATFORMS", "ImageReference", "parse_image", "platform_of_tag"]

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
PLATFORMS = {"amd64": "linux/amd64", "arm64v8": "linux/arm64", "arm64": "linux/arm64", "arm32v7": "linux/arm/v7"}
"""The names of the IoT Edge tools, with which their tags end, and the engines' own."""

_NAME = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_NAME}(?:/{_NAME})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReference:
    """An image: the registry's host (with port), the repository in it, and a tag or a digest."""

    registry: str
    repository: str
    reference: str

    def __str__(self) -> str:
        mark = "@" if ":" in self.reference else ":"
        return f"{self.registry}/{self.repository}{mark}{self.reference}"


def parse_image(image: str) -> ImageReference:
    """The image that a text such as "acme.azurecr.io/team/filter:1.0-amd64" names; ManifestError for no such text."""
    registry, path = _split(image.strip())
    name, _, digest = path.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    repository = head + slash + last
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    reference = digest or tag or DEFAULT_TAG
    sound = _DIGEST.fullmatch(reference) if digest else _TAG.fullmatch(reference)
    if _REPOSITORY.fullmatch(repository) is None or sound is None or _HOST.fullmatch(registry) is None:
        raise ManifestError(f"{image[:120]!r} is not the name of an image, such as registry/filter:1.0-amd64")
    return ImageReference(registry=registry, repository=repository, reference=reference)


def _split(image: str) -> tuple[str, str]:
    """Registry and rest: what stands before the first slash is a host only if it looks like one."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return DEFAULT_REGISTRY, image


def platform_of_tag(tag: str) -> str | None:
    """The platform that the end of a tag promises: "1.0-arm64v8" gives "linux/arm64"; None where it does not say."""
    end = re.split(r"[-.]", tag)[-1]
    return PLATFORMS.get(end)
