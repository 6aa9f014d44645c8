"""Names of images."""

from __future__ import annotations

import pytest

from hub_tools.registries.reference import parse_image, platform_of_tag
from iot_core.errors import ManifestError

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ubuntu", ("docker.io", "library/ubuntu", "latest")),
        ("team/filter:1.0", ("docker.io", "team/filter", "1.0")),
        ("acme.azurecr.io/filter:1.0-amd64", ("acme.azurecr.io", "filter", "1.0-amd64")),
        ("localhost:5000/a/b/c", ("localhost:5000", "a/b/c", "latest")),
        (f"mcr.microsoft.com/azureiotedge-agent@{DIGEST}", ("mcr.microsoft.com", "azureiotedge-agent", DIGEST)),
        (f"127.0.0.1:5000/a:1@{DIGEST}", ("127.0.0.1:5000", "a", DIGEST)),
    ],
)
def test_an_image_is_registry_repository_and_reference(text: str, parts: tuple[str, str, str]) -> None:
    image = parse_image(text)
    assert (image.registry, image.repository, image.reference) == parts


@pytest.mark.parametrize("text", ["", "Upper/Case:1", "a b", "acme.io/", "x@sha256:12", "a/../b"])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="not the name of an image"):
        parse_image(text)


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("1.0-amd64", "linux/amd64"),
        ("1.0-gpu.amd64", "linux/amd64"),
        ("1.0-arm64v8", "linux/arm64"),
        ("1.0-arm32v7", "linux/arm/v7"),
        ("1.0", None),
        ("latest", None),
    ],
)
def test_the_end_of_a_tag_names_a_platform(tag: str, platform: str | None) -> None:
    assert platform_of_tag(tag) == platform
