"""The sentiment model: texts in, confidences out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modules.common.inference import open_session
from modules.sentiment_container.lexicon import MEASURES, Lexicon
from modules.sentiment_container.models import MODELS_FOLDER
from modules.sentiment_container.tokens import features, words

__all__ = ["Confidences", "Encoder", "SentimentModel"]

MODEL_FILE = "sentiment.onnx"
VOCABULARY_FILE = "sentiment.vocabulary.txt"
LEXICON_FILE = "sentiment.lexicon.txt"


class Confidences(NamedTuple):
    """Positive, neutral and negative; they sum to 1."""

    positive: float
    neutral: float
    negative: float

    @property
    def label(self) -> str:
        """That of the greatest."""
        return ("positive", "neutral", "negative")[self.index(max(self))]

    @property
    def score(self) -> float:
        """As one number: 0 negative, 0.5 neither, 1 positive."""
        return self.positive + self.neutral / 2

    def rounded(self) -> dict[str, float]:
        """To hundredths, as the service gives them; they still sum to 1."""
        hundredths = [round(100 * value) for value in self]
        largest = hundredths.index(max(hundredths))
        hundredths[largest] += 100 - sum(hundredths)
        return dict(zip(self._fields, (value / 100 for value in hundredths), strict=True))

    @classmethod
    def mean(cls, weighed: Sequence[tuple[Confidences, float]]) -> Confidences:
        """The mean by weight; at least one weight is above 0."""
        total = sum(weight for _, weight in weighed)
        return cls(*(sum(each[place] * weight for each, weight in weighed) / total for place in range(3)))


class Encoder:
    """Texts → the model's two inputs."""

    def __init__(self, vocabulary: Sequence[str], lexicon: Lexicon) -> None:
        self._numbers = {feature: number for number, feature in enumerate(vocabulary, start=1)}
        self._lexicon = lexicon

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Feature numbers [texts, most features of a text], padded with 0, which weighs nothing; and what the lexicon
        measures [texts, MEASURES]."""
        known: list[list[int]] = []
        measures = np.zeros((len(texts), MEASURES), dtype=np.float32)
        numbers = self._numbers
        for row, text in enumerate(texts):
            cased = words(text)
            lowered = [word.lower() for word in cased]
            known.append([numbers[feature] for feature in features(lowered) if feature in numbers])
            measures[row] = self._lexicon.measures(text, cased, lowered)
        encoded = np.zeros((len(texts), max(1, *map(len, known))), dtype=np.int64)
        for target, found in zip(encoded, known, strict=True):
            target[: len(found)] = found
        return encoded, measures


class SentimentModel:
    """Words, pairs of words, a lexicon and a logistic regression (models/sentiment.md); safe to call from several
    threads."""

    def __init__(self, folder: Path = MODELS_FOLDER) -> None:
        vocabulary = (folder / VOCABULARY_FILE).read_text(encoding="utf-8").splitlines()
        self._encoder = Encoder(vocabulary, Lexicon.load(folder / LEXICON_FILE))
        model = folder / MODEL_FILE
        self._session = open_session(model.read_bytes(), model, ["cpu"])

    def judge(self, texts: Sequence[str]) -> list[Confidences]:
        """One verdict per text, in order; text without a known word is neutral."""
        if not texts:
            return []
        encoded, measures = self._encoder.encode(texts)
        (found,) = self._session.run(["confidences"], {"features": encoded, "measures": measures})
        return [Confidences(*row) for row in found.tolist()]
