"""The image classifier: tensors or photographs in, logits or labels out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iot_core.errors import InputError
from modules.scorer.models import MODELS_FOLDER
from modules.scorer.onnx_model import Float32, OnnxModel
from modules.scorer.photograph import read_photograph
from modules.scorer.tensor import read_tensor

__all__ = ["Classifier", "Guess", "Scored"]

TOP = 5
DEFAULT_MODEL = MODELS_FOLDER / "classifier.onnx"
DEFAULT_LABELS = MODELS_FOLDER / "classifier.labels.txt"


@dataclass(frozen=True, kw_only=True)
class Guess:
    """One class that a photograph may show."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The output for a batch and the seconds that the model took."""

    result: Any
    seconds: float


class Classifier:
    """Works in the caller's thread; modules.scorer.workers puts it on others.

    `model` may be any ONNX classifier with ResNet50v2's input [N, 3, 224, 224] and one logit per line of `labels`.
    """

    def __init__(self, model: Path = DEFAULT_MODEL, labels: Path = DEFAULT_LABELS) -> None:
        self.model = OnnxModel(model)
        self.labels = _read_labels(labels)
        classes = self.model.output_shape[-1]
        if classes is not None and classes != len(self.labels):
            raise InputError(f"{labels.name} has {len(self.labels)} labels, but {model.name} has {classes} classes")

    def score(self, body: bytes) -> Scored:
        """Logits [N, classes] for {"data": …}; raises TensorError."""
        return self._timed(read_tensor(body, self.model.input_shape))

    def classify(self, body: bytes) -> Scored:
        """The five likeliest classes of a JPEG or PNG, as a list of Guess, surest first; raises PhotographError."""
        scored = self._timed(read_photograph(body))
        return Scored(result=self._guesses(scored.result[0]), seconds=scored.seconds)

    def information(self) -> dict[str, Any]:
        return {**self.model.information(), "labels": self.labels}

    def _timed(self, tensor: Float32) -> Scored:
        start = time.perf_counter()
        result = self.model.run(tensor)
        return Scored(result=result, seconds=time.perf_counter() - start)

    def _guesses(self, logits: Float32) -> list[Guess]:
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = [int(index) for index in np.argsort(-shares)[:TOP]]
        return [Guess(label=self.labels[i], index=i, probability=round(float(shares[i]), 4)) for i in best]


def _read_labels(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"labels {path}: {error}") from None
