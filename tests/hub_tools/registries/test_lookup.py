"""Images looked up in a real HTTP registry of this test, with each way to log in."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from hub_tools.manifests import Deployment, Layer, Module, RegistryCredential
from hub_tools.registries import missing_images
from iot_core.manifest.findings import Finding, Severity

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
USER, PASSWORD, TOKEN = "devices", "a password of this test", "a-token"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass(kw_only=True)
class Registry:
    """Answers as the OCI distribution specification says; `guard` is "", "basic" or "bearer"."""

    guard: str = ""
    address: str = ""
    broken: int = 0
    content: dict[str, tuple[str, Any]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def index(self, name: str, *platforms: str) -> None:
        parts = (platform.split("/") for platform in platforms)
        items = [{"platform": dict(zip(("os", "architecture", "variant"), part, strict=False))} for part in parts]
        self.content[_path(name)] = (INDEX, {"manifests": items})

    def single(self, name: str, architecture: str) -> None:
        config = {"os": "linux", "architecture": architecture, "variant": "v8" if architecture == "arm64" else ""}
        digest = "sha256:" + hashlib.sha256(json.dumps(config).encode()).hexdigest()
        self.content[_path(name)] = (MANIFEST, {"config": {"digest": digest}})
        self.content[f"/v2/{name.partition(':')[0]}/blobs/{digest}"] = ("application/json", config)

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append(request.path)
        if self.broken:
            return web.Response(status=self.broken)
        if request.path == "/token":
            sound = request.headers.get("Authorization") == LOGIN and request.query["scope"].startswith("repository:")
            return web.json_response({"token": TOKEN} if sound else {}, status=200 if sound else 401)
        if refusal := self._refusal(request):
            return refusal
        kind, document = self.content.get(request.path, ("", None))
        if document is None:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
        return web.Response(body=json.dumps(document).encode(), content_type=kind)

    def _refusal(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        if given == {"basic": LOGIN, "bearer": f"Bearer {TOKEN}", "": None}[self.guard]:
            return None
        repository = request.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
        scope = f'service="test",scope="repository:{repository}:pull"'
        challenges = {"basic": 'Basic realm="test"', "bearer": f'Bearer realm="http://{self.address}/token",{scope}'}
        return web.Response(status=401, headers={"WWW-Authenticate": challenges[self.guard]})


def _path(name: str) -> str:
    repository, _, tag = name.partition(":")
    return f"/v2/{repository}/manifests/{tag}"


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    served = Registry()
    app = web.Application()
    app.router.add_get("/{tail:.*}", served.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.67.9.1", 0).start()
    served.address = f"127.67.9.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
def layer(registry: Registry) -> Callable[..., Layer]:
    """A layer that names images of the registry."""

    def make(*images: str) -> Layer:
        modules = (Module(name=f"m{n}", image=f"{registry.address}/{image}") for n, image in enumerate(images))
        return Layer(name="extra", modules=tuple(modules))

    return make


def login(registry: Registry, password: str = PASSWORD) -> dict[str, RegistryCredential]:
    return {"test": RegistryCredential(address=registry.address, username=USER, password=password)}


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


async def test_images_that_are_there_for_every_platform_are_no_finding(
    registry: Registry, layer: Callable[..., Layer]
) -> None:
    registry.index("team/filter:1.0", "linux/amd64", "linux/arm64/v8", "linux/arm/v7")
    registry.single("team/scorer:1.0-arm64v8", "arm64")
    items = [layer("team/filter:1.0", "team/scorer:1.0-arm64v8")]
    assert await missing_images(items, ["linux/amd64", "linux/arm64", "linux/arm/v7"]) == []


async def test_a_missing_image_is_refused_with_image_and_registry(
    registry: Registry, layer: Callable[..., Layer]
) -> None:
    [finding] = await missing_images([layer("team/filter:2.0")])
    assert (finding.rule, finding.severity) == ("I01", Severity.ERROR)
    assert finding.path == "extra.m0.settings.image"
    assert f"registry {registry.address} has no image {registry.address}/team/filter:2.0" in finding.message


async def test_a_missing_platform_is_refused_by_name(registry: Registry, layer: Callable[..., Layer]) -> None:
    registry.index("filter:1.0", "linux/amd64")
    [finding] = await missing_images([layer("filter:1.0")], ["linux/amd64", "linux/arm64"])
    assert finding.rule == "I02"
    assert all(text in finding.message for text in ("filter:1.0", "linux/arm64", registry.address))


async def test_the_end_of_a_tag_says_which_platform_an_image_is_for(
    registry: Registry, layer: Callable[..., Layer]
) -> None:
    registry.single("filter:1.0-arm64v8", "amd64")
    registry.single("scorer:1.0-gpu.amd64", "amd64")
    findings = await missing_images([layer("filter:1.0-arm64v8", "scorer:1.0-gpu.amd64")], ["linux/arm64"])
    assert [(finding.rule, finding.path) for finding in findings] == [("I02", "extra.m0.settings.image")]


@pytest.mark.parametrize("guard", ["basic", "bearer"])
async def test_the_login_of_registry_credentials_is_used(
    registry: Registry, layer: Callable[..., Layer], guard: str
) -> None:
    registry.guard = guard
    registry.single("team/filter:1.0", "amd64")
    assert await missing_images([layer("team/filter:1.0")], ["linux/amd64"], login(registry)) == []


@pytest.mark.parametrize("guard", ["basic", "bearer"])
async def test_a_login_that_is_refused_is_an_error_without_the_password(
    registry: Registry, layer: Callable[..., Layer], guard: str
) -> None:
    registry.guard = guard
    registry.single("team/filter:1.0", "amd64")
    nobody = await missing_images([layer("team/filter:1.0")])
    wrong = await missing_images([layer("team/filter:1.0")], [], login(registry, "something else"))
    assert rules(nobody + wrong) == ["I03", "I03"]
    assert "without a login" in nobody[0].message
    assert "registryCredentials" in wrong[0].message
    assert "something else" not in str(wrong)


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_registry_in_trouble_is_a_warning(registry: Registry, layer: Callable[..., Layer], status: int) -> None:
    registry.broken = status
    [finding] = await missing_images([layer("filter:1.0")])
    assert (finding.rule, finding.severity) == ("I04", Severity.WARNING)
    assert str(status) in finding.message


async def test_a_registry_that_cannot_be_reached_is_a_warning() -> None:
    base = Layer(name="extra", modules=(Module(name="m", image="127.67.9.2:1/filter:1.0"),))
    [finding] = await missing_images([base])
    assert (finding.rule, finding.severity) == ("I04", Severity.WARNING)
    assert "127.67.9.2:1" in finding.message


async def test_an_image_is_asked_for_once(registry: Registry, layer: Callable[..., Layer]) -> None:
    registry.index("filter:1.0", "linux/amd64")
    await missing_images([layer("filter:1.0", "filter:1.0"), layer("filter:1.0")], ["linux/amd64"])
    assert registry.seen == ["/v2/filter/manifests/1.0"]


async def test_the_runtimes_own_images_are_looked_up_too(registry: Registry) -> None:
    agent = Module(name="edgeAgent", image=f"{registry.address}/agent:1.5")
    hub = Module(name="edgeHub", image=f"{registry.address}/hub:1.5")
    findings = await missing_images([Deployment(name="base", edge_agent=agent, edge_hub=hub)])
    assert [finding.path for finding in findings] == ["base.edgeAgent.settings.image", "base.edgeHub.settings.image"]
