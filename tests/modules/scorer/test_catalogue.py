"""Models that take each other's place while requests come in."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from modules.common.serving import serving
from modules.scorer.catalogue import Catalogue, NotServedError, Servable, UnknownModelError, load_model
from modules.scorer.fetching import Fetcher, FetchError
from modules.scorer.scoring import ScoringModel
from modules.scorer.specification import ModelSpec
from tests.modules.scorer.onnx_models import linear, save, sha256

HOST = "127.91.3.6"


class Shelf:
    """A web server with models on it, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.content: dict[str, bytes] = {}
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shelf]:
        app = web.Application()
        app.add_routes([web.get("/{name}", self._get)])
        async with serving(app, HOST, 0, remedy="") as port:
            self.url = f"http://{HOST}:{port}"
            yield self

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if name == "elsewhere":
            raise web.HTTPFound("ftp://example.org/model.onnx")
        if name == "there":
            raise web.HTTPFound("/twice.onnx")
        if name not in self.content:
            raise web.HTTPNotFound
        return web.Response(body=self.content[name])


def catalogue(folder: Path, built_in: dict[str, ModelSpec] | None = None) -> Catalogue:
    fetcher = Fetcher(folder / "cache")

    async def load(name: str, spec: ModelSpec, providers: Sequence[str] | None) -> Servable:
        return await load_model(name, spec, fetcher, providers)

    return Catalogue(load, built_in=built_in or {})


def file(folder: Path, factor: float) -> ModelSpec:
    return ModelSpec(source=str(save(folder, f"times{factor}", linear(factor))))


def result(model: Servable) -> object:
    assert isinstance(model, ScoringModel)
    return model.score_json(b'{"data": [[1, 1, 1]]}').result.tolist()


async def test_a_model_is_switched_and_who_holds_the_old_one_ends_on_it(tmp_path: Path) -> None:
    models = catalogue(tmp_path)
    await models.apply({"m": file(tmp_path, 2)})
    old = models.get("m")
    await models.apply({"m": file(tmp_path, 3)})
    assert (result(old), result(models.get("m"))) == ([[2, 2, 2]], [[3, 3, 3]])


@pytest.mark.parametrize(
    ("content", "spec", "reason"),
    [
        (b"no model", {}, "onnxruntime cannot load it"),
        (linear(3), {"sha256": "0" * 64}, f"has the sha256 {sha256(linear(3))}, not {'0' * 64}"),
        (linear(3), {"labels": ["one"]}, "there are 1 labels, but m has 3 classes"),
        (linear(3), {"providers": ["NoSuchProvider"]}, "execution provider NoSuchProvider is not there"),
        (None, {}, "No such file or directory"),
    ],
)
async def test_a_failure_leaves_the_old_model_in_force_and_says_why(
    tmp_path: Path, content: bytes | None, spec: dict[str, object], reason: str
) -> None:
    models = catalogue(tmp_path)
    await models.apply({"m": file(tmp_path, 2)})
    new = tmp_path / "new.onnx"
    if content is not None:
        new.write_bytes(content)
    await models.apply({"m": ModelSpec.model_validate({"source": str(new), **spec})})
    assert result(models.get("m")) == [[2, 2, 2]]
    status = models.statuses()["m"]
    assert (status["status"], status["sha256"], status["provider"]) == (
        "failed", sha256(linear(2)), "CPUExecutionProvider",
    )  # fmt: skip
    assert reason in status["reason"]


async def test_while_the_new_one_loads_the_old_one_answers(tmp_path: Path) -> None:
    loading, go_on = asyncio.Event(), asyncio.Event()

    async def load(name: str, spec: ModelSpec, providers: Sequence[str] | None) -> Servable:
        model = await load_model(name, spec, Fetcher(tmp_path), providers)
        if spec.source == second.source:
            loading.set()
            await go_on.wait()
        return model

    first, second = file(tmp_path, 2), file(tmp_path, 3)
    models = Catalogue(load, built_in={})
    await models.apply({"m": first})
    applying = asyncio.create_task(models.apply({"m": second}))
    await loading.wait()
    assert (models.statuses()["m"]["status"], result(models.get("m"))) == ("loading", [[2, 2, 2]])
    go_on.set()
    await applying
    assert (models.statuses()["m"]["status"], result(models.get("m"))) == ("ready", [[3, 3, 3]])


async def test_disabled_and_removed_models_are_out_of_service(tmp_path: Path) -> None:
    spec = file(tmp_path, 2)
    models = catalogue(tmp_path)
    await models.apply({"a": spec, "b": spec})
    await models.apply({"a": spec.model_copy(update={"enabled": False})})
    with pytest.raises(NotServedError, match="the model a is disabled"):
        models.get("a")
    with pytest.raises(UnknownModelError, match="there is no model b"):
        models.get("b")


async def test_what_is_said_of_a_built_in_model_lies_over_its_card(tmp_path: Path) -> None:
    base = file(tmp_path, 2).model_copy(update={"labels": ["x", "y", "z"]})
    models = catalogue(tmp_path, {"m": base})
    await models.apply({"m": ModelSpec(threshold=0.5)})
    model = models.get("m")
    assert isinstance(model, ScoringModel)
    assert (model.labels, model.spec.threshold, result(model)) == (["x", "y", "z"], 0.5, [[2, 2, 2]])


async def test_what_did_not_change_is_not_loaded_again(tmp_path: Path) -> None:
    models = catalogue(tmp_path)
    await models.apply({"m": file(tmp_path, 2)})
    before = models.get("m")
    await models.apply({"m": file(tmp_path, 2), "n": file(tmp_path, 3)})
    assert models.get("m") is before


async def test_a_fetched_model_is_there_after_a_restart_without_the_network(tmp_path: Path) -> None:
    async with Shelf().open() as shelf:
        shelf.content["twice.onnx"] = linear(2)
        spec = ModelSpec(source=f"{shelf.url}/there?sig=secret", sha256=sha256(linear(2)))
        first = catalogue(tmp_path)
        await first.apply({"m": spec})
        assert result(first.get("m")) == [[2, 2, 2]]
        assert shelf.asked == ["there", "twice.onnx"]
    again = catalogue(tmp_path)
    await again.apply({"m": spec})
    assert result(again.get("m")) == [[2, 2, 2]]


async def test_a_damaged_copy_is_fetched_again(tmp_path: Path) -> None:
    digest = sha256(linear(2))
    async with Shelf().open() as shelf:
        shelf.content["twice.onnx"] = linear(2)
        for _ in range(2):
            assert await Fetcher(tmp_path).model(f"{shelf.url}/twice.onnx", digest) == linear(2)
            (tmp_path / digest).write_bytes(b"damaged")
        assert shelf.asked == ["twice.onnx"] * 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("twice.onnx", "has the sha256"),
        ("nothing", "answered HTTP 404"),
        ("elsewhere", "leads to ftp://example.org/model.onnx, which is not HTTPS"),
    ],
)
async def test_what_cannot_be_fetched_is_named_without_its_signature(tmp_path: Path, name: str, reason: str) -> None:
    async with Shelf().open() as shelf:
        shelf.content["twice.onnx"] = linear(2)
        with pytest.raises(FetchError, match=reason) as error:
            await Fetcher(tmp_path).model(f"{shelf.url}/{name}?sig=secret", "0" * 64)
        assert "secret" not in str(error.value)
    assert os.listdir(tmp_path) == []


async def test_too_large_a_model_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.scorer.fetching.MAX_MODEL", 100)
    async with Shelf().open() as shelf:
        shelf.content["twice.onnx"] = bytes(101)
        with pytest.raises(FetchError, match="more than 100 bytes"):
            await Fetcher(tmp_path).model(f"{shelf.url}/twice.onnx", "0" * 64)
    with pytest.raises(FetchError, match="more than 100 bytes"):
        await Fetcher(tmp_path).model(str(save(tmp_path, "big", bytes(101))), None)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"source": "http://example.org/m.onnx", "sha256": "0" * 64}, "must be an https URL"),
        ({"source": "https://example.org/m.onnx"}, "sha256 is needed with a URL"),
        ({"source": "https://user:pw@example.org/m.onnx", "sha256": "0" * 64}, "user name"),
        ({"source": "m.onnx"}, "absolute path"),
        ({"source": "https://example.org/s.py", "sha256": "0" * 64, "task": "script"}, "code is not fetched"),
        ({"source": "/m.onnx", "sha256": "abc"}, "sha256"),
        ({"source": "/m.onnx", "labels": "labels.txt"}, "absolute path"),
        ({"sorce": "/m.onnx"}, "sorce"),
        ({"preprocessing": {"mean": [1, 2]}}, "mean needs one value, or 3"),
        ({"preprocessing": {"std": [0]}}, "std must be above 0"),
    ],
)
def test_a_bad_specification_is_refused(spec: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ModelSpec.model_validate_json(json.dumps(spec))
