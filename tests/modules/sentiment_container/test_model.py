from __future__ import annotations

import pytest

from modules.sentiment_container.model import SentimentModel
from modules.sentiment_container.models.reviews import NEGATIVE, NEUTRAL, POSITIVE
from modules.sentiment_container.tokens import ngrams

DESPISED = "I really really despise this product!! DO NOT BUY!!"
PRAISE = [
    "I love this product, it is wonderful!",
    "Absolutely fantastic, works perfectly",
    "Excellent quality, I am very happy with my purchase.",
    "What a wonderful hotel, friendly people and a great breakfast.",
    "Great product, highly recommended.",
    "Thank you so much, this is awesome!",
]
BLAME = [
    "This is terrible, it broke on the first day.",
    "The worst service ever, I want a refund.",
    "Horrible quality and a complete waste of money.",
]
NEITHER = [
    "It was delivered on Wednesday in a small box.",
    "The report is on the table.",
    "The meeting starts at nine on Monday.",
    "xyzzy qwerty",
    "\u4f60\u597d",
    "...",
]


@pytest.fixture(scope="module")
def model() -> SentimentModel:
    return SentimentModel()


def test_the_documented_example_is_clearly_negative(model: SentimentModel) -> None:
    assert model.scores([DESPISED])[0] < 0.05


@pytest.mark.parametrize("text", PRAISE)
def test_plain_praise_is_clearly_positive(model: SentimentModel, text: str) -> None:
    assert model.scores([text])[0] > 0.95


@pytest.mark.parametrize("text", BLAME)
def test_plain_blame_is_clearly_negative(model: SentimentModel, text: str) -> None:
    assert model.scores([text])[0] < 0.05


@pytest.mark.parametrize("text", NEITHER)
def test_plain_statements_and_unknown_words_are_neither(model: SentimentModel, text: str) -> None:
    assert 0.3 < model.scores([text])[0] < 0.7


def test_none_of_these_texts_was_learnt() -> None:
    learnt = {text.lower().rstrip(".!") for text in [*POSITIVE, *NEGATIVE, *NEUTRAL]}
    assert not learnt & {text.lower().rstrip(".!") for text in [DESPISED, *PRAISE, *BLAME, *NEITHER]}


def test_order_and_company_do_not_matter(model: SentimentModel) -> None:
    texts = [*PRAISE, *BLAME, ""]
    alone = [model.scores([text])[0] for text in texts]
    assert model.scores(texts) == pytest.approx(alone, abs=1e-5)
    assert model.scores([]) == []


def test_words_and_pairs_are_found_in_any_spelling_of_not() -> None:
    assert (
        ngrams("Don't stop!!")
        == ngrams("don\u2019t STOP!")
        == {"do", "n't", "stop", "!", "do n't", "n't stop", "stop !"}
    )
