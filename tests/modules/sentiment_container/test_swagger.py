"""The descriptions for machines: what OpenAPI 2.0 asks of a document, and that it says what is served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from modules.sentiment_container.swagger import example_request, swagger
from modules.sentiment_container.versions import API_VERSIONS, VERSIONS, Version


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_every_document_is_complete(version: Version) -> None:
    document = swagger(version)
    assert document["swagger"] == "2.0"
    assert set(document["info"]) >= {"title", "version"}
    assert {reference.removeprefix("#/definitions/") for reference in references(document)} <= set(
        document["definitions"]
    )
    for path in document["paths"].values():
        for operation in path.values():
            assert all(answer["description"] for answer in operation["responses"].values())
            assert sum(parameter["in"] == "body" for parameter in operation.get("parameters", [])) <= 1


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_the_example_is_a_request_that_is_taken(version: Version) -> None:
    batch, _ = version.read(orjson.dumps(example_request(version)), {"api-version": API_VERSIONS[0]})
    assert len(batch.documents) == 1
