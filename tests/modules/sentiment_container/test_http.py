from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from modules.sentiment_container.documents import MAX_BODY, MAX_CHARACTERS
from modules.sentiment_container.http import JOBS, create_http_app
from modules.sentiment_container.model import SentimentModel
from modules.sentiment_container.options import MODEL_VERSION
from modules.sentiment_container.versions import API_VERSIONS, VERSIONS, choose_versions

Client = TestClient
V2, V21, V30, V31 = (f"/text/analytics/{name}/sentiment" for name in ("v2.0", "v2.1", "v3.0", "v3.1"))
LANGUAGE = "/language/:analyze-text?api-version=2022-05-01"
PRAISE, BLAME = "I love this product, it is wonderful!", "The worst service ever, I want a refund."
MODEL = SentimentModel()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    with ThreadPoolExecutor(1) as executor:
        async with TestClient(TestServer(create_http_app(MODEL, executor))) as client:
            yield client


def document(identifier: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "text": text, **more}


def request_of(path: str, documents: list[Any], **parameters: Any) -> dict[str, Any]:
    if path.startswith("/language"):
        task = {"kind": "SentimentAnalysis", "parameters": parameters}
        return {**task, "analysisInput": {"documents": documents}}
    return {"documents": documents}


async def post(client: Client, path: str, *documents: Any, **parameters: Any) -> tuple[int, Any]:
    response = await client.post(path, json=request_of(path, list(documents), **parameters))
    return response.status, await response.json()


async def verdicts(client: Client, path: str, *documents: Any, **parameters: Any) -> Any:
    """The part of a v3 or Language answer that is the same in both."""
    status, answer = await post(client, path, *documents, **parameters)
    assert status == 200
    return answer["results"] if path.startswith("/language") else answer


@pytest.mark.parametrize("path", [V2, V21])
async def test_v2_answers_scores(client: Client, path: str) -> None:
    status, answer = await post(client, path, document("7", BLAME, language="en"), document("1", PRAISE))
    assert status == 200
    assert [(scored["id"], round(scored["score"])) for scored in answer["documents"]] == [("7", 0), ("1", 1)]
    assert [set(scored) for scored in answer["documents"]] == [{"id", "score"}] * 2
    assert answer["errors"] == []


@pytest.mark.parametrize("path", [V30, V31, LANGUAGE])
async def test_v3_answers_labels_confidences_and_sentences(client: Client, path: str) -> None:
    answer = await verdicts(client, path, document("1", f"{PRAISE} The box is on the table."))
    assert answer["modelVersion"] == MODEL_VERSION
    [found] = answer["documents"]
    assert set(found) == {"id", "sentiment", "confidenceScores", "sentences", "warnings"}
    assert found["sentiment"] == "positive"
    assert [(s["sentiment"], s["offset"], s["length"], s["text"]) for s in found["sentences"]] == [
        ("positive", 0, len(PRAISE), PRAISE),
        ("neutral", len(PRAISE) + 1, 24, "The box is on the table."),
    ]
    for scores in (found["confidenceScores"], *(s["confidenceScores"] for s in found["sentences"])):
        assert sum(scores.values()) == pytest.approx(1)
        assert set(scores) == {"positive", "neutral", "negative"}


async def test_the_language_api_wraps_the_answer(client: Client) -> None:
    _, answer = await post(client, LANGUAGE, document("1", PRAISE))
    assert (answer["kind"], set(answer)) == ("SentimentAnalysisResults", {"kind", "results"})


@pytest.mark.parametrize("version", API_VERSIONS)
async def test_every_api_version_since_2022_is_taken(client: Client, version: str) -> None:
    path = f"/language/:analyze-text?api-version={version}"
    assert len((await verdicts(client, path, document("1", PRAISE)))["documents"]) == 1


@pytest.mark.parametrize(
    ("bad", "code", "reason"),
    [
        (document("2", "x" * (MAX_CHARACTERS + 1)), "InvalidDocument", "5120"),
        (document("2", "  "), "InvalidDocument", "empty"),
        ({"id": "2"}, "InvalidDocument", "empty"),
        (document("2", "Ich liebe es", language="de"), "UnsupportedLanguageCode", "'de' is not supported"),
    ],
)
async def test_one_bad_document_is_an_error_beside_the_others(
    client: Client, bad: dict[str, Any], code: str, reason: str
) -> None:
    _, old = await post(client, V2, document("1", "fine"), bad)
    assert [scored["id"] for scored in old["documents"]] == ["1"]
    assert [set(error) for error in old["errors"]] == [{"id", "message"}]
    assert reason in old["errors"][0]["message"]
    for path in (V30, V31, LANGUAGE):
        [problem] = (await verdicts(client, path, document("1", "fine"), bad))["errors"]
        assert (problem["id"], problem["error"]["code"]) == ("2", "InvalidArgument")
        assert problem["error"]["innererror"]["code"] == code
        assert reason in problem["error"]["innererror"]["message"]


async def test_what_a_reader_sees_as_one_character_counts_as_one(client: Client) -> None:
    for character in (
        "e\u0301",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1f3\U0001f1f1",
        "\U0001f44d\U0001f3fd",
    ):
        _, answer = await post(client, V2, document("1", character * MAX_CHARACTERS))
        assert answer["errors"] == []


@pytest.mark.parametrize(
    ("unit", "offset", "length"), [("TextElements_v8", 7, 11), ("UnicodeCodePoint", 8, 12), ("Utf16CodeUnit", 10, 14)]
)
async def test_offsets_are_counted_in_the_unit_that_is_asked_for(
    client: Client, unit: str, offset: int, length: int
) -> None:
    last = "I am sad \U0001f44e\U0001f3fd."
    text = f"Good\U0001f44d\U0001f3fd.\n{last}"
    for path, parameters in ((f"{V31}?stringIndexType={unit}", {}), (LANGUAGE, {"stringIndexType": unit})):
        [found] = (await verdicts(client, path, document("1", text), **parameters))["documents"]
        sentence = found["sentences"][-1]
        assert (sentence["text"], sentence["offset"], sentence["length"]) == (last, offset, length)


async def test_statistics_come_when_asked_for(client: Client) -> None:
    documents = [document("1", "good " * 250), document("2", "")]
    for path in (
        f"{V21}?showStats=true",
        f"{V30}?showStats=true",
        f"{V31}?showstats=True",
        f"{LANGUAGE}&showStats=true",
    ):
        answer = await verdicts(client, path, *documents)
        assert answer["documents"][0]["statistics"] == {"charactersCount": 1250, "transactionsCount": 2}
        assert answer["statistics"] == {
            "documentsCount": 2,
            "validDocumentsCount": 1,
            "erroneousDocumentsCount": 1,
            "transactionsCount": 2,
        }


def too_many(limit: int) -> list[dict[str, Any]]:
    return [document(str(number), "a") for number in range(limit + 1)]


@pytest.mark.parametrize(
    ("documents", "inner"),
    [
        ([document("1", "a"), document("1", "b")], "InvalidDocument"),
        ([document("", "a")], "InvalidDocument"),
        ([{"text": "a"}], "InvalidDocument"),
        (["a"], "InvalidRequestBodyFormat"),
    ],
)
async def test_a_bad_request_is_refused_in_the_shape_of_its_version(
    client: Client, documents: list[Any], inner: str
) -> None:
    status, answer = await post(client, V2, *documents)
    assert (status, answer["code"], answer["innerError"]["code"]) == (400, "BadRequest", inner)
    for path in (V30, V31, LANGUAGE):
        status, answer = await post(client, path, *documents)
        error = answer["error"]
        assert (status, error["code"], error["innererror"]["code"]) == (400, "InvalidRequest", inner)


@pytest.mark.parametrize(("path", "limit"), [(V2, 1000), (V21, 1000), (V30, 10), (V31, 10), (LANGUAGE, 10)])
async def test_each_version_has_its_limit_of_documents(client: Client, path: str, limit: int) -> None:
    assert (await post(client, path, *too_many(limit)[1:]))[0] == 200
    status, answer = await post(client, path, *too_many(limit))
    assert (status, "InvalidDocumentBatch" in json.dumps(answer)) == (400, True)
    status, answer = await post(client, path)
    missing = "MissingInputDocuments" if path == LANGUAGE else "MissingInputRecords"
    assert (status, missing in json.dumps(answer)) == (400, True)


@pytest.mark.parametrize(
    ("path", "parameters", "reason"),
    [
        (f"{V31}?opinionMining=true", {}, "opinionMining is not built"),
        (LANGUAGE, {"opinionMining": True}, "opinionMining is not built"),
        (f"{V31}?stringIndexType=Bytes", {}, "stringIndexType must be"),
        (LANGUAGE, {"stringIndexType": 5}, "stringIndexType must be"),
        (f"{V30}?showStats=perhaps", {}, "showStats must be"),
        (f"{V31}?loggingOptOut=2", {}, "loggingOptOut must be"),
        (LANGUAGE, {"loggingOptOut": "no"}, "loggingOptOut must be"),
        (f"{V30}?model-version=2020-04-01", {}, "model version '2020-04-01' is not here"),
        (LANGUAGE, {"modelVersion": "2022-11-01"}, "model version '2022-11-01' is not here"),
        ("/language/:analyze-text", {}, "api-version is missing"),
        ("/language/:analyze-text?api-version=2021-01-01", {}, "'2021-01-01' is not known"),
    ],
)
async def test_parameters_that_are_not_served_are_refused_by_name(
    client: Client, path: str, parameters: dict[str, Any], reason: str
) -> None:
    status, answer = await post(client, path, document("1", "a"), **parameters)
    assert status == 400
    assert reason in answer["error"]["innererror"]["message"]


@pytest.mark.parametrize("query", ["loggingOptOut=true", "model-version=latest", f"model-version={MODEL_VERSION}"])
async def test_parameters_that_are_served_are_taken(client: Client, query: str) -> None:
    assert (await post(client, f"{V31}?{query}", document("1", "a")))[0] == 200


async def test_other_tasks_of_the_language_api_are_refused_by_name(client: Client) -> None:
    response = await client.post(LANGUAGE, json={"kind": "KeyPhraseExtraction"})
    assert response.status == 400
    assert "'KeyPhraseExtraction' is not built" in (await response.json())["error"]["innererror"]["message"]


@pytest.mark.parametrize(
    ("body", "inner"), [(b"", "EmptyRequest"), (b"{", "InvalidRequestBodyFormat"), (b"[]", "InvalidRequestBodyFormat")]
)
async def test_a_body_that_is_no_request_is_refused(client: Client, body: bytes, inner: str) -> None:
    for version in VERSIONS:
        response = await client.post(f"{version.path}?api-version={API_VERSIONS[0]}", data=body)
        assert response.status == 400
        assert inner in await response.text()


@pytest.mark.parametrize(
    "content_type", ["application/json-patch+json", "text/json", "application/json; charset=utf-8"]
)
async def test_the_content_types_of_the_containers_own_examples_are_taken(client: Client, content_type: str) -> None:
    body = json.dumps(request_of(V31, [document("1", PRAISE)]))
    response = await client.post(V31, data=body, headers={"Content-Type": content_type})
    assert response.status == 200


async def test_another_content_type_is_refused(client: Client) -> None:
    response = await client.post(V31, data="documents=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status == 415
    assert (await response.json())["error"]["innererror"]["code"] == "UnsupportedMediaType"


async def test_a_megabyte_is_the_limit(client: Client) -> None:
    for size in (MAX_BODY + 1, 2 * MAX_BODY):
        response = await client.post(V2, data=io.BytesIO(bytes(size)))
        assert response.status == 413
        assert "too large" in (await response.json())["innerError"]["message"]


async def test_only_the_versions_that_were_chosen_are_there() -> None:
    with ThreadPoolExecutor(1) as executor:
        app = create_http_app(MODEL, executor, versions=choose_versions("v2.0,v3.0"))
        async with TestClient(TestServer(app)) as client:
            status = [(await client.post(path, json={})).status for path in (V2, V21, V30, V31, LANGUAGE)]
            assert status == [400, 404, 400, 404, 404]


@pytest.mark.parametrize("path", ["/", "/ready", "/status", "/swagger", "/swagger/index.html"])
async def test_the_pages_of_the_container_are_there(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 200


async def test_status_says_that_the_key_is_taken(client: Client) -> None:
    assert (await (await client.get("/status")).json())["apiStatus"] == "Valid"


@pytest.mark.parametrize("path", JOBS)
async def test_work_in_the_background_is_refused_by_name(client: Client, path: str) -> None:
    response = await client.post(path, json={})
    assert (response.status, path in await response.text()) == (501, True)


async def test_the_page_to_try_it_on_needs_nothing_from_elsewhere(client: Client) -> None:
    page = await (await client.get("/swagger")).text()
    assert "http://" not in page
    assert "https://" not in page
    assert all(version.path in page for version in VERSIONS)
