from __future__ import annotations

import io
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from modules.sentiment_container.documents import MAX_BODY, MAX_CHARACTERS
from modules.sentiment_container.http import NOT_BUILT, SENTIMENT_V2_0, create_http_app
from modules.sentiment_container.model import SentimentModel

Client = TestClient


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    with ThreadPoolExecutor(1) as executor:
        async with TestClient(TestServer(create_http_app(SentimentModel(), executor))) as client:
            yield client


def document(identifier: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "text": text, **more}


async def post(client: Client, *documents: Any) -> tuple[int, Any]:
    response = await client.post(SENTIMENT_V2_0, json={"documents": list(documents)})
    return response.status, await response.json()


async def test_scores_come_in_the_documented_shape(client: Client) -> None:
    status, answer = await post(
        client,
        document("7", "I really really despise this product!! DO NOT BUY!!", language="en"),
        document("1", "I love this product, it is wonderful!"),
    )
    assert status == 200
    assert set(answer) == {"documents", "errors"}
    assert [set(scored) for scored in answer["documents"]] == [{"id", "score"}] * 2
    assert [scored["id"] for scored in answer["documents"]] == ["7", "1"]
    assert answer["documents"][0]["score"] < 0.05
    assert answer["documents"][1]["score"] > 0.95
    assert answer["errors"] == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (document("2", "x" * (MAX_CHARACTERS + 1)), "5120"),
        (document("2", "  "), "empty"),
        ({"id": "2"}, "empty"),
        (document("2", "Ich liebe es", language="de"), "'de' is not supported"),
    ],
)
async def test_one_bad_document_is_an_error_beside_the_others(client: Client, bad: dict[str, Any], reason: str) -> None:
    status, answer = await post(client, document("1", "fine"), bad)
    assert status == 200
    assert [scored["id"] for scored in answer["documents"]] == ["1"]
    assert [set(error) for error in answer["errors"]] == [{"id", "message"}]
    assert answer["errors"][0]["id"] == "2"
    assert reason in answer["errors"][0]["message"]


async def test_combining_marks_do_not_count_as_characters(client: Client) -> None:
    _, answer = await post(client, document("1", "e\u0301" * MAX_CHARACTERS))
    assert answer["errors"] == []


@pytest.mark.parametrize(
    ("documents", "inner"),
    [
        ([], "MissingInputRecords"),
        ([document("1", "a"), document("1", "b")], "InvalidDocument"),
        ([document("", "a")], "InvalidDocument"),
        ([{"text": "a"}], "InvalidDocument"),
        (["a"], "InvalidRequestBodyFormat"),
        ([document(str(number), "a") for number in range(1001)], "InvalidDocumentBatch"),
    ],
)
async def test_a_bad_request_is_refused_in_the_shape_of_v2(client: Client, documents: list[Any], inner: str) -> None:
    status, answer = await post(client, *documents)
    assert (status, answer["code"], answer["innerError"]["code"]) == (400, "BadRequest", inner)
    assert set(answer) == {"code", "message", "innerError"}


@pytest.mark.parametrize(
    ("body", "inner"), [(b"", "EmptyRequest"), (b"{", "InvalidRequestBodyFormat"), (b"[]", "InvalidRequestBodyFormat")]
)
async def test_a_body_that_is_no_request_is_refused(client: Client, body: bytes, inner: str) -> None:
    response = await client.post(SENTIMENT_V2_0, data=body)
    assert response.status == 400
    assert (await response.json())["innerError"]["code"] == inner


async def test_a_thousand_documents_are_answered_and_a_megabyte_is_the_limit(client: Client) -> None:
    status, answer = await post(client, *(document(str(number), "good") for number in range(1000)))
    assert (status, len(answer["documents"])) == (200, 1000)
    response = await client.post(SENTIMENT_V2_0, data=io.BytesIO(bytes(MAX_BODY + 1)))
    assert response.status == 413


@pytest.mark.parametrize("path", NOT_BUILT)
async def test_other_versions_are_refused_by_name(client: Client, path: str) -> None:
    response = await client.post(path, json={})
    assert response.status == 501
    assert NOT_BUILT[path] in (await response.json())["innerError"]["message"]


@pytest.mark.parametrize("path", ["/", "/ready", "/status", "/swagger"])
async def test_the_pages_of_the_container_are_there(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 200
