# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["scikit-learn==1.9.1", "vaderSentiment==3.3.2", "onnx==1.22.0", "onnxruntime==1.32.0", "numpy==2.4.6"]
# ///
"""Trains and writes sentiment.onnx, its vocabulary and its lexicon, and prints what the card reports (a minute).

    python -m modules.sentiment_container.models.build_sentiment --data FOLDER --snippets FOLDER [--out FOLDER]

--data holds SST-2 as train.tsv and dev.tsv (`text TAB label`, 1 = positive). --snippets holds the texts rated by people
that the source archive of vaderSentiment 3.3.2 carries (additional_resources/hutto_ICWSM_2014.tar.gz, unpacked):
product reviews and newspaper sentences are learnt from, tweets only measured. No text of either is part of this
repository. The archive's film reviews are left out: SST-2 is made of the same ones.

The polarity is a logistic regression without an intercept on words, pairs, negated words and word beginnings, each
weighed by its log-odds (as in NB-SVM), and on what the lexicon measures. A second, small regression says from the
strength of the evidence how likely a text is neutral. Features that occur once or weigh next to nothing are dropped,
also so that the vocabulary cannot give the training text back.
"""

from __future__ import annotations

import argparse
import html
import re
import sys
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.sentiment_container.lexicon import MEASURES, Lexicon
from modules.sentiment_container.model import LEXICON_FILE, MODEL_FILE, VOCABULARY_FILE, Encoder, SentimentModel
from modules.sentiment_container.models.reviews import NEGATIVE, NEUTRAL, POSITIVE
from modules.sentiment_container.tokens import features, words

MINIMUM_DOCUMENTS = 2  # a feature seen once says little
LEAST_WEIGHT = 0.06  # features below this change few verdicts: most of the vocabulary goes, accuracy stays
OPSET = 17
IR_VERSION = 8  # what goes with opset 17; onnx would write its own newest, which older runtimes refuse
INVERSE_REGULARISATION = 0.5
MEASURE_SCALE = 3.0
"""The lexicon's measures count this much more than a feature: they are few and sure."""
INFORMAL_WEIGHT = 2.0
"""Added weight of the lexicon in informal text, which neither films nor newspapers teach; chosen on the tweets."""
SURENESS = 2.0
"""Factor on the logit of neutral: the fitted one hesitates where the real service does not."""
REVIEW_WEIGHT = 4.0
"""Weight of one of our reviews against one sentence of SST-2, which has ten times as many."""
NEUTRAL_WEIGHT = 8.0
"""Weight of a neutral sentence: they are few and must hold many common words at the middle."""
CLEAR = 0.5
"""Mean rating (-4 to 4) from which a rated text counts as positive or negative."""
WANTED = 0.82
"""Accuracy on dev.tsv below which the build fails."""

Labelled = list[tuple[str, int, float]]
Rated = list[tuple[str, float]]
Floats = npt.NDArray[np.float64]


def read_tsv(path: Path) -> list[tuple[str, int]]:
    rows = (line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line)
    return [(text, int(label)) for text, label in rows]


def read_rated(folder: Path, name: str) -> Rated:
    """(text, mean rating from -4 to 4)."""
    lines = (folder / f"{name}_GroundTruth.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    return [(html.unescape(row[2]), float(row[1])) for row in (line.split("\t") for line in lines if line)]


def read_lexicon() -> Lexicon:
    """vaderSentiment's words and emoticons, and its emoji by the words that describe them."""
    source = resources.files("vaderSentiment")
    values: dict[str, float] = {}
    symbols: dict[str, float] = {}
    for line in (source / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines():
        entry, valence = [*line.split("\t"), ""][:2]
        if re.fullmatch("[a-z][a-z'-]*", entry):
            values[entry] = float(valence)
        elif entry and not re.fullmatch("[A-Za-z0-9 ]+|# .*", entry):
            symbols[entry] = float(valence)
    for line in (source / "emoji_utf8_lexicon.txt").read_text(encoding="utf-8").splitlines():
        emoji, described = [*line.split("\t"), ""][:2]
        total = sum(values.get(word, 0.0) for word in re.findall("[a-z]+", described.lower()))
        if len(emoji) == 1 and total:
            symbols[emoji] = round(total, 1)
    return Lexicon(values, {entry: value for entry, value in symbols.items() if not entry[0].isalpha()})


def write_lexicon(path: Path, lexicon: Lexicon) -> None:
    head = "# From vaderSentiment 3.3.2, Copyright (c) 2016 C.J. Hutto, MIT License; see sentiment.md.\n"
    entries = {**lexicon.words, **lexicon.symbols}
    path.write_text(head + "".join(f"{entry}\t{value:g}\n" for entry, value in entries.items()), encoding="utf-8")


def training_set(data: Path, rated: Rated) -> Labelled:
    """(text, label, weight) of everything the polarity is learnt from."""
    films = [(text, label, 1.0) for text, label in read_tsv(data / "train.tsv")]
    praise = [(text, 1, REVIEW_WEIGHT) for text in POSITIVE]
    blame = [(text, 0, REVIEW_WEIGHT) for text in NEGATIVE]
    neither = [(text, label, NEUTRAL_WEIGHT) for text in NEUTRAL for label in (0, 1)]
    others = [(text, int(value > 0), min(1.0, abs(value) / 1.5)) for text, value in rated if abs(value) > CLEAR]
    return films + praise + blame + neither + others


class Polarity:
    """The trained polarity: one weight per feature, and per measure."""

    def __init__(self, examples: Labelled, lexicon: Lexicon) -> None:
        bags = [features([word.lower() for word in words(text)]) for text, _, _ in examples]
        counts = Counter(feature for bag in bags for feature in bag)
        vocabulary = sorted(feature for feature, count in counts.items() if count >= MINIMUM_DOCUMENTS)
        weights, measures = _fit(vocabulary, examples, lexicon)
        kept = np.abs(weights) >= LEAST_WEIGHT
        self.vocabulary = [feature for feature, keep in zip(vocabulary, kept, strict=True) if keep]
        self.weights = weights[kept]
        self.measures = measures
        self._encoder = Encoder(self.vocabulary, lexicon)

    def evidence(self, texts: list[str]) -> Floats:
        """Above 0 is positive, below negative."""
        encoded, measures = self._encoder.encode(texts)
        table = np.concatenate([[0.0], self.weights])
        total: Floats = table[encoded].sum(axis=1) + measures @ self.measures
        return total


def _fit(vocabulary: list[str], examples: Labelled, lexicon: Lexicon) -> tuple[Floats, Floats]:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    encoded, measures = Encoder(vocabulary, lexicon).encode([text for text, _, _ in examples])
    rows, columns = np.nonzero(encoded)
    cells = (np.ones(len(rows)), (rows, encoded[rows, columns] - 1))
    presence = csr_matrix(cells, shape=(len(examples), len(vocabulary)))
    labels = np.array([label for _, label, _ in examples])
    sample = np.array([weight for _, _, weight in examples])
    odds = np.abs(_log_odds(presence, labels, sample)) + 0.5
    learnt = measures[:, : MEASURES - 1] * MEASURE_SCALE
    regression = LogisticRegression(
        C=INVERSE_REGULARISATION, fit_intercept=False, max_iter=300, solver="liblinear", tol=1e-3, random_state=0
    )
    regression.fit(hstack([presence.multiply(odds), csr_matrix(learnt)]).tocsr(), labels, sample_weight=sample)
    found = regression.coef_[0]
    return odds * found[: len(vocabulary)], np.append(MEASURE_SCALE * found[len(vocabulary) :], INFORMAL_WEIGHT)


def _log_odds(presence: Any, labels: npt.NDArray[np.int64], sample: Floats) -> Floats:
    """Of each feature in positive against negative texts, smoothed by one."""
    positive = 1 + np.asarray(presence[labels == 1].T @ sample[labels == 1]).ravel()
    negative = 1 + np.asarray(presence[labels == 0].T @ sample[labels == 0]).ravel()
    odds: Floats = np.log((positive / positive.sum()) / (negative / negative.sum()))
    return odds


def neutrality(data: Path, rated: Rated, lexicon: Lexicon) -> Floats:
    """(intercept, weight of |evidence|, weight of |compound|) of the logit of neutral; fitted on texts that the
    polarity it is given had not seen."""
    from sklearn.linear_model import LogisticRegression

    halves = rated[::2], rated[1::2]
    inputs, labels = [], []
    for learnt, unseen in (halves, halves[::-1]):
        texts = [text for text, _ in unseen]
        inputs.append(_strength(Polarity(training_set(data, learnt), lexicon).evidence(texts), texts, lexicon))
        labels += [abs(value) <= CLEAR for _, value in unseen]
    regression = LogisticRegression(max_iter=500)
    regression.fit(np.concatenate(inputs), labels)
    return SURENESS * np.concatenate([regression.intercept_, regression.coef_[0]])


def _strength(evidence: Floats, texts: list[str], lexicon: Lexicon) -> Floats:
    _, measures = Encoder([], lexicon).encode(texts)
    return np.stack([np.abs(evidence), np.abs(measures[:, 0])], axis=1)


def write_model(path: Path, polarity: Polarity, neutral: Floats) -> None:
    """`features` [N, K] int64 (1 + line of the feature, 0 for padding), `measures` [N, 7] → `confidences` [N, 3]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any, kind: Any = np.float32) -> Any:
        return numpy_helper.from_array(np.array(value, dtype=kind), name)

    constants = [
        constant("weights", np.concatenate([[0.0], polarity.weights])),
        constant("measure_weights", polarity.measures.reshape(-1, 1)),
        constant("axis", [1], np.int64),
        constant("first", [0], np.int64),
        constant("one", 1.0),
        *(constant(name, value) for name, value in zip(("n_0", "n_evidence", "n_compound"), neutral, strict=True)),
    ]
    steps = [
        ("Gather", ["weights", "features"], "weight_of"),
        ("ReduceSum", ["weight_of", "axis"], "from_features"),
        ("MatMul", ["measures", "measure_weights"], "from_measures"),
        ("Add", ["from_features", "from_measures"], "evidence"),
        ("Sigmoid", ["evidence"], "side"),
        ("Abs", ["evidence"], "strength"),
        ("Mul", ["strength", "n_evidence"], "n_1"),
        ("Gather", ["measures", "first"], "compound"),
        ("Abs", ["compound"], "pleasantness"),
        ("Mul", ["pleasantness", "n_compound"], "n_2"),
        ("Add", ["n_1", "n_2"], "n_12"),
        ("Add", ["n_12", "n_0"], "n_logit"),
        ("Sigmoid", ["n_logit"], "neutral"),
        ("Sub", ["one", "neutral"], "polar"),
        ("Mul", ["polar", "side"], "positive"),
        ("Sub", ["polar", "positive"], "negative"),
        ("Concat", ["positive", "neutral", "negative"], "confidences"),
    ]
    attributes: dict[str, dict[str, Any]] = {"Concat": {"axis": 1}, "compound": {"axis": 1}}
    nodes = [
        helper.make_node(kind, inputs, [output], **attributes.get(kind, attributes.get(output, {})))
        for kind, inputs, output in steps
    ]
    features_info = helper.make_tensor_value_info("features", TensorProto.INT64, ["N", "K"])
    measures_info = helper.make_tensor_value_info("measures", TensorProto.FLOAT, ["N", MEASURES])
    answer = helper.make_tensor_value_info("confidences", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "sentiment", [features_info, measures_info], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def agreement(model: SentimentModel, rows: list[tuple[str, bool]]) -> float:
    """The share of texts whose score is on the label's side of the middle."""
    verdicts = model.judge([text for text, _ in rows])
    return float(np.mean([(v.score > 0.5) == label for v, (_, label) in zip(verdicts, rows, strict=True)]))


def report(model: SentimentModel, dev: list[tuple[str, int]], tweets: Rated) -> float:
    """Print what the card says; the accuracy on dev.tsv."""
    accuracy = agreement(model, [(text, label == 1) for text, label in dev])
    clear = [(text, value > 0) for text, value in tweets if abs(value) >= CLEAR]
    verdicts = model.judge([text for text, value in tweets if abs(value) >= CLEAR])
    neutral = np.mean([verdict.label == "neutral" for verdict in verdicts])
    print(f"accuracy on dev.tsv {accuracy:.4f}")
    right = agreement(model, clear)
    print(f"tweets with a clear rating ({len(clear)}): right side {right:.4f}, called neutral {neutral:.3f}")
    print(f"dev.tsv called neutral {np.mean([v.label == 'neutral' for v in model.judge([t for t, _ in dev])]):.3f}")
    return accuracy


def main() -> int:
    parser = argparse.ArgumentParser(description="Trains and writes the sentiment model.")
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv of SST-2")
    parser.add_argument(
        "--snippets", type=Path, required=True, help="folder hutto_ICWSM_2014 of vaderSentiment's archive"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    lexicon = read_lexicon()
    rated = read_rated(arguments.snippets, "amazonReviewSnippets") + read_rated(
        arguments.snippets, "nytEditorialSnippets"
    )
    polarity = Polarity(training_set(arguments.data, rated), lexicon)
    write_lexicon(arguments.out / LEXICON_FILE, lexicon)
    vocabulary = "".join(f"{feature}\n" for feature in polarity.vocabulary)
    (arguments.out / VOCABULARY_FILE).write_text(vocabulary, encoding="utf-8")
    write_model(arguments.out / MODEL_FILE, polarity, neutrality(arguments.data, rated, lexicon))
    print(f"{len(polarity.vocabulary)} features, {len(lexicon.words)} words, {len(lexicon.symbols)} symbols")
    tweets = read_rated(arguments.snippets, "tweets")
    accuracy = report(SentimentModel(arguments.out), read_tsv(arguments.data / "dev.tsv"), tweets)
    return 0 if accuracy >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
