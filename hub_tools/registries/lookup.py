"""Looking up the images of deployments before devices are told to run them.

| rule | severity | what |
|---|---|---|
| I01 | error | the registry has no such image |
| I02 | error | the image is there, but not for this platform |
| I03 | error | the registry does not show the image to the credentials that devices would use |
| I04 | warning | the registry could not be asked, so nothing is known |

A registry that cannot be reached is no reason to refuse: devices may well reach one that this machine does not (a
registry in a plant's network), and a deployment must not wait for someone else's outage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import aiohttp

from hub_tools.concurrency import map_bounded
from hub_tools.manifests import Deployment, Layer, Module, RegistryCredential
from hub_tools.registries.client import Registry, RegistryRefusedError, RegistryUnreachableError
from hub_tools.registries.reference import DEFAULT_REGISTRY, ImageReference, parse_image, platform_of_tag
from iot_core.errors import ManifestError
from iot_core.manifest.findings import Finding, Severity

__all__ = ["missing_images"]

AT_ONCE = 8
"""Requests under way; more are throttled by public registries."""


class _Use(NamedTuple):
    """An image and the first place that names it."""

    image: str
    path: str


async def missing_images(
    items: Iterable[Deployment | Layer],
    platforms: Collection[str] = (),
    credentials: Mapping[str, RegistryCredential] | None = None,
) -> list[Finding]:
    """What is wrong with the images that `items` name; the rules are those above.

    Each image has to be there for every one of `platforms` ("linux/amd64"); one whose tag ends in a platform's name
    ("1.0-arm64v8") for that one instead. `credentials` are logins by registry, passwords resolved.
    """
    logins = {_host(login.address): login for login in (credentials or {}).values()}
    async with aiohttp.ClientSession() as session:
        registries: dict[str, Registry] = {}

        async def look_up(use: _Use) -> list[Finding]:
            try:
                image = parse_image(use.image)
            except ManifestError as error:
                return [_finding("I01", use, str(error), "Correct the image.")]
            host = image.registry
            registry = registries.setdefault(host, Registry(host, session, logins.get(host)))
            return await _look_up(use, image, registry, platforms, logged_in=host in logins)

        found = await map_bounded(look_up, _uses(items), at_once=AT_ONCE)
    return [finding for findings in found for finding in findings]


def _uses(items: Iterable[Deployment | Layer]) -> list[_Use]:
    """Every image once, in the order in which they are named."""
    found: dict[str, _Use] = {}
    for item in items:
        for module in _modules(item):
            found.setdefault(module.image, _Use(module.image, f"{item.name}.{module.name}.settings.image"))
    return list(found.values())


def _modules(item: Deployment | Layer) -> list[Module]:
    system = [item.edge_agent, item.edge_hub] if isinstance(item, Deployment) else []
    return [*system, *item.modules]


async def _look_up(
    use: _Use, image: ImageReference, registry: Registry, platforms: Collection[str], *, logged_in: bool
) -> list[Finding]:
    try:
        present = await registry.platforms(image)
    except RegistryRefusedError as error:
        who = "with registryCredentials" if logged_in else "without a login"
        message = f"registry {image.registry} does not show {use.image} {who}: {error}"
        return [_finding("I03", use, message, "Correct the image, or its registryCredentials.")]
    except RegistryUnreachableError as error:
        message = f"registry {image.registry} could not be asked for {use.image}: {error}"
        return [_finding("I04", use, message, "Make sure that the image is there.", Severity.WARNING)]
    if present is None:
        message = f"registry {image.registry} has no image {use.image}"
        return [_finding("I01", use, message, "Build and push it (edgeyard build --push), or correct the image.")]
    return [
        _finding(
            "I02",
            use,
            f"image {use.image} in registry {image.registry} is not for {platform}, only for "
            f"{', '.join(sorted(present)) or 'no platform that it names'}",
            f"Build and push it for {platform}, or aim at devices of another platform.",
        )
        for platform in _wanted(image, platforms)
        if platform not in present
    ]


def _wanted(image: ImageReference, platforms: Collection[str]) -> list[str]:
    promised = platform_of_tag(image.reference)
    return [promised] if promised else sorted(platforms)


def _host(address: str) -> str:
    """The registry of a login's address, which may be written as a URL."""
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_REGISTRY if host in ("index.docker.io", "registry-1.docker.io") else host


def _finding(rule: str, use: _Use, message: str, fix: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(rule=rule, severity=severity, path=use.path, message=message, fix=fix)
