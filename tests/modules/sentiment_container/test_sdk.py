"""The official client, azure-ai-textanalytics, against the stand-in as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from azure.ai.textanalytics import TextAnalyticsClient, TextDocumentInput
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

HOST = "127.91.7.1"
LICENCE = ("Eula=accept", "Billing=https://westus.example/", "ApiKey=local")
PRAISE, BLAME = "I love this product, it is wonderful!", "The worst service ever, I want a refund."
VERSIONS = ["v3.0", "v3.1", "2022-05-01", "2023-04-01"]
SINCE_3_1 = VERSIONS[1:]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    command = [sys.executable, "-m", "modules.sentiment_container", *LICENCE, "--host", HOST, "--port", "0"]
    with subprocess.Popen([*command, "--metrics-port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = json.loads(process.stderr.readline())["port"]
        try:
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()
            assert process.wait(timeout=5) == 0


@pytest.fixture
def sdk(endpoint: str, request: pytest.FixtureRequest) -> Iterator[TextAnalyticsClient]:
    with TextAnalyticsClient(endpoint, AzureKeyCredential("local"), api_version=request.param) as client:
        yield client


def each(*versions: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sdk", versions, indirect=True)


@each(*VERSIONS)
def test_a_list_of_texts_is_judged_in_order(sdk: TextAnalyticsClient) -> None:
    found = sdk.analyze_sentiment([PRAISE, BLAME, "The box is on the table."])
    assert [(result.is_error, result.id, result.sentiment) for result in found] == [
        (False, "0", "positive"),
        (False, "1", "negative"),
        (False, "2", "neutral"),
    ]
    scores = found[0].confidence_scores
    assert scores.positive + scores.neutral + scores.negative == pytest.approx(1)


@each(*VERSIONS)
def test_documents_with_ids_and_languages_get_errors_of_their_own(sdk: TextAnalyticsClient) -> None:
    documents = [
        {"id": "good", "language": "en", "text": PRAISE},
        {"id": "german", "language": "de", "text": "Ich liebe es"},
        {"id": "empty", "text": ""},
        {"id": "long", "text": "x" * 5121},
    ]
    found = sdk.analyze_sentiment(documents)
    assert [result.id for result in found] == ["good", "german", "empty", "long"]
    assert [result.is_error for result in found] == [False, True, True, True]
    codes = [result.error.code for result in found[1:] if result.is_error]
    assert codes == ["UnsupportedLanguageCode", "InvalidDocument", "InvalidDocument"]


@each(*VERSIONS)
def test_a_language_for_the_whole_request_counts(sdk: TextAnalyticsClient) -> None:
    assert sdk.analyze_sentiment([PRAISE], language="en-GB")[0].sentiment == "positive"
    [refused] = sdk.analyze_sentiment([PRAISE], language="nl")
    assert refused.is_error
    assert refused.error.code == "UnsupportedLanguageCode"
    assert sdk.analyze_sentiment([TextDocumentInput(id="1", text=PRAISE)])[0].sentiment == "positive"


@each(*VERSIONS)
def test_a_batch_that_is_too_large_is_refused(sdk: TextAnalyticsClient) -> None:
    with pytest.raises(HttpResponseError) as caught:
        sdk.analyze_sentiment([PRAISE] * 11)
    assert caught.value.status_code == 400
    assert caught.value.error is not None
    assert caught.value.error.code == "InvalidDocumentBatch"


@each(*VERSIONS)
def test_statistics_and_model_version_are_there(sdk: TextAnalyticsClient) -> None:
    raw: list[object] = []
    found = sdk.analyze_sentiment([PRAISE], show_stats=True, model_version="latest", raw_response_hook=raw.append)
    assert found[0].statistics is not None
    assert found[0].statistics.character_count == len(PRAISE)
    assert len(raw) == 1


@each(*SINCE_3_1)
def test_sentences_can_be_cut_out_by_their_offsets(sdk: TextAnalyticsClient) -> None:
    text = f"\U0001f600 {PRAISE} {BLAME}"
    found = sdk.analyze_sentiment([text], string_index_type="UnicodeCodePoint", disable_service_logs=True)[0]
    assert found.sentiment == "mixed"
    cut = [text[sentence.offset : sentence.offset + sentence.length] for sentence in found.sentences]
    assert cut == [sentence.text for sentence in found.sentences]
    assert [sentence.sentiment for sentence in found.sentences] == ["positive", "negative"]


@each(*SINCE_3_1)
def test_opinion_mining_is_refused_by_name(sdk: TextAnalyticsClient) -> None:
    with pytest.raises(HttpResponseError, match="opinionMining is not built"):
        sdk.analyze_sentiment([PRAISE], show_opinion_mining=True)
