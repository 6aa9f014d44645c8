"""The sentiment model: texts in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modules.common.inference import open_session
from modules.sentiment_container.models import MODELS_FOLDER
from modules.sentiment_container.tokens import ngrams

__all__ = ["SentimentModel"]

MODEL_FILE = "sentiment.onnx"
VOCABULARY_FILE = "sentiment.vocabulary.txt"


class SentimentModel:
    """Words, pairs of words and a logistic regression (models/sentiment.md); safe to call from several threads."""

    def __init__(self, folder: Path = MODELS_FOLDER) -> None:
        lines = (folder / VOCABULARY_FILE).read_text(encoding="utf-8").splitlines()
        self._features = {gram: number for number, gram in enumerate(lines, start=1)}
        model = folder / MODEL_FILE
        self._session = open_session(model.read_bytes(), model)

    def scores(self, texts: Sequence[str]) -> list[float]:
        """One score per text, in order: 0 is negative, 1 positive, 0.5 neither (also for text without a known word)."""
        if not texts:
            return []
        (scores,) = self._session.run(["score"], {"features": self._encode(texts)})
        return [float(score) for score in scores]

    def _encode(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Feature numbers [texts, most n-grams of a text], padded with 0, which weighs nothing."""
        known = [[self._features[gram] for gram in ngrams(text) if gram in self._features] for text in texts]
        encoded = np.zeros((len(texts), max(1, *map(len, known))), dtype=np.int64)
        for row, features in zip(encoded, known, strict=True):
            row[: len(features)] = features
        return encoded
