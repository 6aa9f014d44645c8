from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from device.errors import ConnectionLostError
from modules.sentiment.module import spool_folder
from modules.sentiment.settings import SentimentSettings

REFUSAL = {"code": "BadRequest", "message": "no", "innerError": {"code": "InvalidDocument", "message": "no id"}}
V2, V31, LANGUAGE = "/text/analytics/v2.0/sentiment", "/text/analytics/v3.1/sentiment", "/language/:analyze-text"


async def test_a_text_comes_out_scored_with_its_own_fields(container: Any, module: Any) -> None:
    async with module() as running:
        await running.say({"id": 7, "text": "good", "customer": "c"})
        [(output, body, properties)] = await running.sent(1)
        own = {"id": 7, "text": "good", "customer": "c"}
        assert body == {**own, "sentimentScore": 0.9, "sentiment": "positive", "confidence": 0.9}
        assert output == "scored"
        assert properties == {
            "shop": "1", "sentiment": "positive", "sentimentScore": "0.9000", "sentimentConfidence": "0.9000",
        }  # fmt: skip
        system = running.client.sent[0][1].system
        assert (system["correlationId"], system["messageId"]) == ("m1", "m1.0")


async def test_v3_brings_its_own_label_and_confidences(container: Any, module: Any) -> None:
    container.paths = (V31,)
    async with module(includeSentences=True) as running:
        await running.say([{"text": "good"}, {"text": "so so"}])
        [(_, good, _), (_, mixed, properties)] = await running.sent(2)
        assert (good["sentiment"], good["confidence"]) == ("positive", good["confidenceScores"]["positive"])
        assert good["sentimentScore"] == pytest.approx(0.9)
        assert [sentence["sentiment"] for sentence in good["sentences"]] == ["positive"]
        assert (mixed["sentiment"], properties["sentiment"]) == ("mixed", "mixed")


async def test_many_texts_are_scored_in_few_requests_and_keep_their_order(container: Any, module: Any) -> None:
    async with module(parallelBatches=1) as running:
        await running.say({"text": "first"})
        await running.sent(1)
        await running.say([{"text": f"{word} {number}"} for number in range(40) for word in ("good", "bad", "so")])
        sent = await running.sent(121)
        assert [properties["sentiment"] for _, _, properties in sent[1:]] == ["positive", "negative", "neutral"] * 40
        assert [len(batch) for batch in container.batches] == [1, 100, 20]


async def test_requests_of_v3_have_ten_documents(container: Any, module: Any) -> None:
    container.paths = (LANGUAGE,)
    async with module() as running:
        await running.say([{"text": f"good {number}"} for number in range(25)])
        await running.sent(25)
        assert sorted(len(batch) for batch in container.batches) == [5, 10, 10]


async def test_a_first_text_waits_for_others(container: Any, module: Any) -> None:
    async with module(maxWait=30, maxBatch=3) as running:
        for number in range(3):
            await running.say({"text": f"good {number}"})
        await running.sent(3)
        assert [len(batch) for batch in container.batches] == [3]


async def test_a_slow_batch_does_not_stop_the_others(container: Any, module: Any) -> None:
    container.held = "slow"
    async with module(maxWait=0) as running:
        await running.say({"text": "slow"})
        while not container.batches:
            await asyncio.sleep(0.01)
        await running.say({"text": "good"})
        [(_, body, _)] = await running.sent(1)
        assert body["text"] == "good"
        container.release.set()
        assert {body["text"] for _, body, _ in await running.sent(2)} == {"good", "slow"}


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
async def test_a_container_that_cannot_now_is_waited_for(container: Any, module: Any, status: int) -> None:
    container.answers = [web.Response(status=status) for _ in range(8)]
    async with module() as running:
        await running.say({"text": "good"})
        await running.sent(1)
        assert len(container.batches) == 9


async def test_one_bad_document_is_reported_beside_the_others(container: Any, module: Any) -> None:
    for container.paths in ((V2,), (V31,)):
        async with module() as running:
            await running.say([{"text": "good"}, {"text": "forbidden"}, {"text": "bad"}])
            sent = await running.sent(3)
            assert sorted(str(output) for output, _, _ in sent) == ["errors", "scored", "scored"]
            [(_, body, properties)] = [each for each in sent if each[0] == "errors"]
            assert body == {"text": "forbidden", "error": "too rude", "errorCode": "InvalidDocument"}
            assert (properties["sentiment"], properties["sentimentError"]) == ("error", "InvalidDocument")


async def test_a_refused_request_is_tried_in_halves_until_the_bad_text_is_found(container: Any, module: Any) -> None:
    container.answers = [web.json_response(REFUSAL, status=400), web.json_response(REFUSAL, status=400)]
    async with module() as running:
        await running.say([{"text": "bad"}, {"text": "good"}])
        sent = await running.sent(2)
        assert {output: body["text"] for output, body, _ in sent} == {"errors": "bad", "scored": "good"}
        assert "no id" in next(body["error"] for output, body, _ in sent if output == "errors")


async def test_a_text_that_breaks_the_container_does_not_block_the_others(container: Any, module: Any) -> None:
    async with module(maxBatch=1, maxWait=0, parallelBatches=2, breakerFailures=1000) as running:
        container.answers = [web.Response(status=500)]
        real = container._v2

        def breaks(documents: list[dict[str, str]]) -> dict[str, Any]:
            if "poison" in documents[0]["text"]:
                raise web.HTTPInternalServerError
            return dict(real(documents))

        container._v2 = breaks
        await running.say([{"text": "poison"}, *({"text": f"good {number}"} for number in range(20))])
        sent = await running.sent(21)
        [(_, body, _)] = [each for each in sent if each[0] == "errors"]
        assert (body["text"], body["errorCode"]) == ("poison", "Failed")


async def test_a_text_that_is_too_long_is_not_sent(container: Any, module: Any) -> None:
    async with module() as running:
        await running.say([{"text": "x" * 5121}, {"text": "good"}])
        sent = await running.sent(2)
        assert {output for output, _, _ in sent} == {"errors", "scored"}
        assert [[document["text"] for document in batch] for batch in container.batches] == [["good"]]


async def test_requests_stay_under_a_megabyte(container: Any, module: Any) -> None:
    wide = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 5000
    async with module(maxWait=0.2) as running:
        await running.say({"text": "first"})
        await running.sent(1)
        for _ in range(11):
            await running.say({"text": wide})
        await running.sent(12)
        assert all(sum(len(document["text"].encode()) for document in batch) < 1 << 20 for batch in container.batches)


@pytest.mark.parametrize("body", [b"\xff", b"[1]", b'{"id": 1}', b'{"text": null}'])
async def test_an_unreadable_message_becomes_an_error_report(container: Any, module: Any, body: bytes) -> None:
    async with module() as running:
        await running.say(body)
        [(output, report, properties)] = await running.sent(1)
        assert (output, report["errorCode"], properties["sentiment"]) == ("errors", "UnreadableMessage", "error")
        await running.client.until(lambda: running.client.reported.get("counts", {}).get("errors") == 1)
        assert running.client.reported["lastError"]


async def test_the_language_is_the_records_then_the_messages_then_the_settings(container: Any, module: Any) -> None:
    async with module(language="en-GB", languagePath="about.lang", parallelBatches=1) as running:
        await running.say([{"text": "good", "about": {"lang": "de"}}, {"text": "good"}], language="nl")
        await running.say({"text": "good"})
        await running.sent(3)
        languages = [document["language"] for batch in container.batches for document in batch]
        assert languages == ["de", "nl", "en-GB"]


async def test_texts_are_found_by_a_path(container: Any, module: Any) -> None:
    async with module(textPath="review.body") as running:
        await running.say({"review": {"body": "good"}})
        [(_, body, _)] = await running.sent(1)
        assert body["sentiment"] == "positive"


async def test_thresholds_follow_the_twin_and_a_bad_value_changes_nothing(container: Any, module: Any) -> None:
    async with module(positiveAbove=0.95) as running:
        await running.client.operator_sets(negativeBelow=2, maxWait="soon")
        refused = running.client.reported
        assert (refused["negativeBelow"]["ac"], refused["negativeBelow"]["value"]) == (400, 0.3)
        assert (refused["maxWait"]["ac"], refused["maxWait"]["value"]) == (400, 0.05)
        await running.say({"text": "good"})
        assert (await running.sent(1))[0][1]["sentiment"] == "neutral"


async def test_a_lost_edge_hub_loses_no_text(container: Any, module: Any) -> None:
    async with module(reportingInterval=3600) as running:
        running.client.failures = [ConnectionLostError("gone") for _ in range(10)]
        await running.say({"text": "good"})
        await running.sent(1)


async def test_counts_and_readiness_are_reported(container: Any, module: Any) -> None:
    async with module() as running:
        await running.say([{"text": "good"}, {"text": "bad"}, {"text": "so"}])
        await running.sent(3)
        client = running.client
        await client.until(lambda: client.reported.get("counts", {}).get("neutral") == 1)
        assert client.reported["counts"] == {
            "messages": 1, "positive": 1, "neutral": 1, "negative": 1, "mixed": 0, "errors": 0, "dropped": 0, "held": 0,
        }  # fmt: skip
        assert client.reported["containerReady"] is True
        assert (client.reported["containerApi"], client.reported["breaker"]) == ("v2.0", "closed")


def test_the_container_is_looked_for_on_the_edge_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTEDGE_GATEWAYHOSTNAME", "gateway")
    assert SentimentSettings().endpoint == "http://gateway:5000"


def test_two_modules_never_share_a_spool() -> None:
    one = {"IOTEDGE_DEVICEID": "e1", "IOTEDGE_MODULEID": "sentiment", "IOTEDGE_MODULEGENERATIONID": "1"}
    folders = {
        spool_folder(one),
        spool_folder({**one, "IOTEDGE_DEVICEID": "e2"}),
        spool_folder({"SENTIMENT_SPOOL": "/x"}),
    }
    assert len(folders) == 3
