"""What the module sends: scored texts and error reports."""

from __future__ import annotations

from typing import Any

import structlog

from device.errors import HubRefusedError
from iot_core.message import Message
from modules.common.delivery import Send, deliver
from modules.common.json_body import json_message
from modules.sentiment.api import Verdict
from modules.sentiment.metrics import SentimentMetrics
from modules.sentiment.settings import SentimentSettings

__all__ = ["ERRORS", "RECORD_ID", "SCORED", "Outputs", "judgement"]

SCORED, ERRORS = "scored", "errors"
RECORD_ID = "recordId"
"""Beside the system properties of a waiting text: what becomes the message id of its answer."""
log = structlog.get_logger("sentiment.outputs")


class Outputs:
    """Sends through `send` until the edge hub has it; `last_error` is what went wrong last."""

    def __init__(self, send: Send, metrics: SentimentMetrics) -> None:
        self._send = send
        self._metrics = metrics
        self.last_error: str | None = None

    async def scored(
        self, origin: Message, record: dict[str, Any], verdict: Verdict, settings: SentimentSettings
    ) -> None:
        """The record with its verdict, to `scored`; sentiment, sentimentScore and sentimentConfidence as properties."""
        found = judgement(verdict, settings)
        properties = {
            "sentiment": found["sentiment"],
            "sentimentScore": f"{found['sentimentScore']:.4f}",
            "sentimentConfidence": f"{found['confidence']:.4f}",
        }
        await self._deliver(json_message({**record, **found}, origin, properties), origin, SCORED)
        self._metrics.text(found["sentiment"])

    async def error(
        self, origin: Message, content: dict[str, Any], code: str, reason: str, *, outcome: str = "errors"
    ) -> None:
        """What came and why it has no verdict, to `errors`."""
        self.last_error = reason
        self._metrics.text(outcome)
        log.warning("text not scored", code=code, reason=reason)
        properties = {"sentiment": "error", "sentimentError": code}
        message = json_message({**content, "error": reason, "errorCode": code}, origin, properties)
        await self._deliver(message, origin, ERRORS)

    async def _deliver(self, message: Message, origin: Message, output: str) -> None:
        if number := origin.system.get(RECORD_ID):
            message.system["messageId"] = number
        try:
            await deliver(self._send, message, output)
        except HubRefusedError as error:
            self._metrics.text("errors")
            self.last_error = f"the edge hub refused a message for {output}: {error}"
            log.error("message refused", output=output, reason=str(error))


def judgement(verdict: Verdict, settings: SentimentSettings) -> dict[str, Any]:
    """The fields that a verdict adds to a record.

    v2 knows only a score: the label follows from the thresholds, and the confidence is how far the score is on the
    label's side (for neutral: how close it is to the middle).
    """
    label = verdict.label or settings.sentiment(verdict.score)
    found: dict[str, Any] = {
        "sentiment": label,
        "sentimentScore": verdict.score,
        "confidence": _confidence(label, verdict),
    }
    if verdict.confidences is not None:
        found["confidenceScores"] = dict(verdict.confidences)
    if settings.include_sentences and verdict.sentences:
        found["sentences"] = list(verdict.sentences)
    return found


def _confidence(label: str, verdict: Verdict) -> float:
    if verdict.confidences is not None:
        return verdict.confidences.get(label, max(verdict.confidences.values()))
    sides = {"positive": verdict.score, "negative": 1 - verdict.score}
    return sides.get(label, 1 - 2 * abs(verdict.score - 0.5))
