"""From the engine's confidences to the verdict on a document, as the service forms it.

Source: "Sentiment analysis and opinion mining", section "Sentiment analysis": the label of a document follows from
those of its sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules.sentiment_container.model import Confidences, SentimentModel
from modules.sentiment_container.sentences import split

__all__ = ["Analysis", "Sentence", "analyse", "document_label"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One sentence: text[start:end] in code points, and its confidences."""

    start: int
    end: int
    confidences: Confidences


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """The verdict on one document; `whole` are the confidences of the text as one."""

    whole: Confidences
    sentences: tuple[Sentence, ...]

    @property
    def label(self) -> str:
        """positive, neutral, negative or mixed."""
        return document_label([sentence.confidences.label for sentence in self.sentences])

    @property
    def confidences(self) -> Confidences:
        """Those of the whole text where they agree with the label, else those of the sentences, weighed by length."""
        if self.whole.label == self.label:
            return self.whole
        return Confidences.mean([(s.confidences, s.end - s.start) for s in self.sentences])


def document_label(sentences: Sequence[str]) -> str:
    """Positive and negative sentences together are mixed; one kind among neutral ones decides; else neutral."""
    found = set(sentences)
    if {"positive", "negative"} <= found:
        return "mixed"
    return next((label for label in ("positive", "negative") if label in found), "neutral")


def analyse(model: SentimentModel, texts: Sequence[str]) -> list[Analysis]:
    """One verdict per text, in order; the engine is called once for all sentences."""
    places = [split(text) for text in texts]
    parts = [text[start:end] for text, spans in zip(texts, places, strict=True) for start, end in spans]
    several = [text for text, spans in zip(texts, places, strict=True) if len(spans) > 1]
    judged = iter(model.judge([*parts, *several]))
    sentences = [
        tuple(Sentence(start=start, end=end, confidences=next(judged)) for start, end in spans) for spans in places
    ]
    return [
        Analysis(whole=next(judged) if len(found) > 1 else found[0].confidences, sentences=found) for found in sentences
    ]
