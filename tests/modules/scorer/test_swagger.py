from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from modules.scorer.catalogue import BUILT_IN
from modules.scorer.specification import ModelSpec, Task
from tests.modules.scorer.serving_models import Served, serving_models

SCRIPT = "def init():\n    pass\ndef run(data):\n    return data\n"


@pytest.fixture
async def scorer(tmp_path: Path) -> AsyncIterator[Served]:
    path = tmp_path / "score.py"
    path.write_text(SCRIPT)
    specs = {**BUILT_IN, "script": ModelSpec(source=str(path), task=Task.SCRIPT)}
    async with serving_models(specs, default="emotion") as served:
        yield served


@pytest.mark.parametrize(
    ("query", "validator", "version"),
    [
        ("", OpenAPIV2SpecValidator, "2.0"),
        ("?version=2", OpenAPIV2SpecValidator, "2.0"),
        ("?version=3", OpenAPIV30SpecValidator, "3.0.3"),
        ("?version=3.1", OpenAPIV31SpecValidator, "3.1.0"),
    ],
)
async def test_the_description_is_valid(scorer: Served, query: str, validator: type, version: str) -> None:
    document = (await scorer.get(f"/swagger.json{query}")).json
    validator(document).validate()
    assert document.get("swagger", document.get("openapi")) == version


async def test_it_names_every_way_to_score(scorer: Served) -> None:
    document = (await scorer.get("/swagger.json")).json
    paths = document["paths"]
    assert isinstance(paths, dict)
    assert set(paths) == {
        "/", "/swagger.json", "/models", "/score", "/score/anomaly", "/score/classifier", "/score/emotion",
        "/score/script",
    }  # fmt: skip
    assert paths["/score"]["post"]["operationId"] == "RunMLService"


async def test_a_version_that_there_is_not_is_a_404(scorer: Served) -> None:
    answer = await scorer.get("/swagger.json?version=4")
    assert (answer.status, answer.json["message"]) == (
        404, "Swagger version [4] is not valid. Supported versions: [2.0, 3.0, 3.1].",
    )  # fmt: skip
