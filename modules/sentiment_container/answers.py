"""Answers in the shapes of the API versions: "SentimentResponse" of each version's REST reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules.common.text_units import positions
from modules.sentiment_container.analysis import Analysis
from modules.sentiment_container.documents import Batch, Document
from modules.sentiment_container.errors import document_error_v3
from modules.sentiment_container.options import MODEL_VERSION, AnswerOptions

__all__ = ["answer_language", "answer_v2", "answer_v3"]

Json = dict[str, Any]


def answer_v2(batch: Batch, verdicts: Sequence[Analysis], options: AnswerOptions) -> Json:
    """v2.0 and v2.1: one score per document, 0 (negative) to 1 (positive)."""
    documents = [
        {"id": document.id, "score": verdict.whole.score, **_statistics(document, options)}
        for document, verdict in zip(batch.documents, verdicts, strict=True)
    ]
    errors = [{"id": problem.id, "message": problem.message} for problem in batch.problems]
    return {"documents": documents, "errors": errors, **_totals(batch, options)}


def answer_v3(batch: Batch, verdicts: Sequence[Analysis], options: AnswerOptions) -> Json:
    """v3.0 and v3.1: labels, confidences and sentences."""
    documents = [_document(d, verdict, options) for d, verdict in zip(batch.documents, verdicts, strict=True)]
    errors = [{"id": p.id, "error": document_error_v3(p.code, p.message)} for p in batch.problems]
    return {"documents": documents, "errors": errors, "modelVersion": MODEL_VERSION, **_totals(batch, options)}


def answer_language(batch: Batch, verdicts: Sequence[Analysis], options: AnswerOptions) -> Json:
    """The Language API: v3.1's answer in an envelope."""
    return {"kind": "SentimentAnalysisResults", "results": answer_v3(batch, verdicts, options)}


def _document(document: Document, verdict: Analysis, options: AnswerOptions) -> Json:
    place = positions(document.text, options.unit)
    sentences = []
    for sentence in verdict.sentences:
        offset = place(sentence.start)
        sentences.append(
            {
                "sentiment": sentence.confidences.label,
                "confidenceScores": sentence.confidences.rounded(),
                "offset": offset,
                "length": place(sentence.end) - offset,
                "text": document.text[sentence.start : sentence.end],
            }
        )
    return {
        "id": document.id,
        "sentiment": verdict.label,
        **_statistics(document, options),
        "confidenceScores": verdict.confidences.rounded(),
        "sentences": sentences,
        "warnings": [],
    }


def _statistics(document: Document, options: AnswerOptions) -> Json:
    if not options.show_stats:
        return {}
    return {"statistics": {"charactersCount": document.characters, "transactionsCount": document.transactions}}


def _totals(batch: Batch, options: AnswerOptions) -> Json:
    if not options.show_stats:
        return {}
    valid, erroneous = len(batch.documents), len(batch.problems)
    return {
        "statistics": {
            "documentsCount": valid + erroneous,
            "validDocumentsCount": valid,
            "erroneousDocumentsCount": erroneous,
            "transactionsCount": sum(document.transactions for document in batch.documents),
        }
    }
