# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["scikit-learn==1.9.1", "vaderSentiment==3.3.2", "onnx==1.22.0", "onnxruntime==1.32.0", "numpy==2.4.6"]
# ///
"""Trains and writes sentiment.onnx and sentiment.vocabulary.txt, and prints what the card reports (half a minute).

    python -m modules.sentiment_container.models.build_sentiment --data FOLDER [--out FOLDER]

FOLDER holds SST-2 as train.tsv and dev.tsv (`text TAB label`, 1 = positive). Its text is not part of this repository.
The model is a logistic regression on the presence of words and pairs of words, each weighed by its inverse document
frequency, without an intercept: text of which it knows no word scores 0.5. It learns from SST-2 (film reviews), the
word list of vaderSentiment (MIT) and our own reviews; neutral sentences are given once with each label, which draws
their words to 0.5. The logit is then multiplied by x² / (1 + x²), which leaves strong evidence as it is and draws weak
evidence to 0.5. N-grams that occur once are dropped, also so that the vocabulary cannot give the training text back.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.sentiment_container.models.reviews import NEGATIVE, NEUTRAL, POSITIVE
from modules.sentiment_container.tokens import ngrams

MINIMUM_DOCUMENTS = 2  # an n-gram seen once says little
OPSET = 17
IR_VERSION = 8  # what goes with opset 17; onnx would write its own newest, which older runtimes refuse
INVERSE_REGULARISATION = 0.1
"""C of the regression; 0.05 to 0.1 give the same accuracy on dev.tsv (±0.5 points), higher ones give surer scores."""
REVIEW_WEIGHT = 4.0
"""Weight of one of our reviews against one sentence of SST-2, which has ten times as many."""
NEUTRAL_WEIGHT = 16.0
"""Weight of a neutral sentence: they are few and must hold many common words at 0.5."""
LEXICON_WEIGHT = 0.5
"""Weight of a word of the lexicon, for each point of its valence (1 to 4)."""

Labelled = list[tuple[str, int, float]]


def read_tsv(path: Path) -> list[tuple[str, int]]:
    rows = (line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line)
    return [(text, int(label)) for text, label in rows]


def read_lexicon() -> list[tuple[str, float]]:
    """(word, valence from -4 to 4) of vaderSentiment's list, plain words only (no emoticons)."""
    text = (resources.files("vaderSentiment") / "vader_lexicon.txt").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line)
    return [(row[0], float(row[1])) for row in rows if re.fullmatch("[a-z]+", row[0])]


def training_set(data: Path) -> Labelled:
    """(text, label, weight) of everything the model learns from."""
    films = [(text, label, 1.0) for text, label in read_tsv(data / "train.tsv")]
    praise = [(text, 1, REVIEW_WEIGHT) for text in POSITIVE]
    blame = [(text, 0, REVIEW_WEIGHT) for text in NEGATIVE]
    neither = [(text, label, NEUTRAL_WEIGHT) for text in NEUTRAL for label in (0, 1)]
    words = [(word, int(valence > 0), LEXICON_WEIGHT * abs(valence)) for word, valence in read_lexicon()]
    return films + praise + blame + neither + words


def vocabulary_of(counts: Iterable[set[str]]) -> list[str]:
    documents = Counter(gram for bag in counts for gram in bag)
    kept = {gram for gram, number in documents.items() if number >= MINIMUM_DOCUMENTS}
    return sorted(kept | {word for word, _ in read_lexicon()})


def matrix_of(counts: list[set[str]], vocabulary: list[str]) -> Any:
    """Sparse presence [documents, n-grams], 0 or 1."""
    from scipy.sparse import csr_matrix

    column = {gram: index for index, gram in enumerate(vocabulary)}
    cells = [(row, column[gram], 1.0) for row, bag in enumerate(counts) for gram in bag if gram in column]
    rows, columns, values = zip(*cells, strict=True)
    return csr_matrix((values, (rows, columns)), shape=(len(counts), len(vocabulary)), dtype=np.float64)


def train(examples: Labelled) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Vocabulary and weights (inverse document frequency times coefficient), in the same order."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    counts = [ngrams(text) for text, _, _ in examples]
    vocabulary = vocabulary_of(counts)
    tfidf = TfidfTransformer(norm=None)
    features = tfidf.fit_transform(matrix_of(counts, vocabulary))
    model = LogisticRegression(C=INVERSE_REGULARISATION, fit_intercept=False, max_iter=2000)
    model.fit(features, [label for _, label, _ in examples], sample_weight=[weight for _, _, weight in examples])
    return vocabulary, (tfidf.idf_ * model.coef_[0]).astype(np.float32)


def write_model(path: Path, weights: npt.NDArray[np.float32]) -> None:
    """`features` [N, K] int64 (1 + line of the n-gram, 0 for padding) → `score` [N] float32 in 0..1."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.concatenate([[0.0], weights]).astype(np.float32), "weights")
    axis = numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")
    one = numpy_helper.from_array(np.array(1.0, dtype=np.float32), "one")
    nodes = [
        helper.make_node("Gather", ["weights", "features"], ["weight_of"]),
        helper.make_node("ReduceSum", ["weight_of", "axis"], ["evidence"], keepdims=0),
        helper.make_node("Mul", ["evidence", "evidence"], ["square"]),
        helper.make_node("Add", ["square", "one"], ["more"]),
        helper.make_node("Div", ["square", "more"], ["certainty"]),
        helper.make_node("Mul", ["evidence", "certainty"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    features = helper.make_tensor_value_info("features", TensorProto.INT64, ["N", "K"])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "sentiment", [features], [score], [table, axis, one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def accuracy(out: Path, rows: list[tuple[str, int]]) -> float:
    from modules.sentiment_container.model import SentimentModel

    scores = SentimentModel(out).scores([text for text, _ in rows])
    return float(np.mean([(score > 0.5) == (label == 1) for score, (_, label) in zip(scores, rows, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains and writes the sentiment model.")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv of SST-2")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    vocabulary, weights = train(training_set(arguments.data))
    write_model(arguments.out / "sentiment.onnx", weights)
    (arguments.out / "sentiment.vocabulary.txt").write_text(
        "".join(f"{gram}\n" for gram in vocabulary), encoding="utf-8"
    )
    correct = accuracy(arguments.out, read_tsv(arguments.data / "dev.tsv"))
    print(f"{len(vocabulary)} n-grams, accuracy on dev.tsv {correct:.3f}")


if __name__ == "__main__":
    main()
