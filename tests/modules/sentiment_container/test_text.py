"""Sentences, and the verdict on a document."""

from __future__ import annotations

import pytest

from modules.common.text_units import count_elements, positions
from modules.sentiment_container.analysis import analyse, document_label
from modules.sentiment_container.model import Confidences, SentimentModel
from modules.sentiment_container.sentences import split


def pieces(text: str) -> list[str]:
    return [text[start:end] for start, end in split(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("  Only one  ", ["Only one"]),
        ("Version 3.1 is here. Good.", ["Version 3.1 is here.", "Good."]),
        ("Dr. Smith came at 5 p.m. on Monday. We left.", ["Dr. Smith came at 5 p.m. on Monday.", "We left."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("First line\nsecond line", ["First line", "second line"]),
        ("Great !!! ... Really", ["Great !!! ...", "Really"]),
        ("...", ["..."]),
        ("", [""]),
    ],
)
def test_a_text_is_cut_where_its_sentences_end(text: str, sentences: list[str]) -> None:
    assert pieces(text) == sentences


@pytest.mark.parametrize(
    ("sentences", "document"),
    [
        (["positive", "neutral"], "positive"),
        (["neutral", "negative", "neutral"], "negative"),
        (["positive", "negative"], "mixed"),
        (["positive", "neutral", "negative"], "mixed"),
        (["neutral", "neutral"], "neutral"),
    ],
)
def test_the_label_of_a_document_follows_from_its_sentences(sentences: list[str], document: str) -> None:
    assert document_label(sentences) == document


def test_praise_and_blame_together_are_mixed() -> None:
    [found] = analyse(SentimentModel(), ["The room was wonderful. The breakfast was awful and cold."])
    assert found.label == "mixed"
    assert [sentence.confidences.label for sentence in found.sentences] == ["positive", "negative"]
    assert sum(found.confidences) == pytest.approx(1, abs=1e-6)


def test_a_document_is_as_sure_as_its_text_as_a_whole_where_that_agrees() -> None:
    [found] = analyse(SentimentModel(), ["I really really despise this product!! DO NOT BUY!!"])
    assert (found.label, found.confidences) == ("negative", found.whole)
    assert found.confidences.score < 0.01


@pytest.mark.parametrize("values", [(0.335, 0.333, 0.332), (0.005, 0.005, 0.99), (0.995, 0.005, 0.0), (1.0, 0.0, 0.0)])
def test_rounded_confidences_still_sum_to_one(values: tuple[float, float, float]) -> None:
    rounded = Confidences(*values).rounded()
    assert round(sum(rounded.values()), 9) == 1
    assert all(abs(rounded[name] - value) < 0.011 for name, value in zip(rounded, values, strict=True))


def test_positions_in_each_unit_count_what_lies_before() -> None:
    text = "a\U0001f468\u200d\U0001f469\u200d\U0001f467b\r\ne\u0301c"
    end = len(text) - 1
    assert [positions(text, unit)(end) for unit in ("TextElements_v8", "UnicodeCodePoint", "Utf16CodeUnit")] == [
        5,
        11,
        14,
    ]
    assert count_elements(text) == 6
    assert count_elements("") == 0
