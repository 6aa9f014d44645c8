from __future__ import annotations

import pytest

from modules.sentiment_container.lexicon import Lexicon
from modules.sentiment_container.model import LEXICON_FILE, SentimentModel
from modules.sentiment_container.models import MODELS_FOLDER
from modules.sentiment_container.models.reviews import NEGATIVE, NEUTRAL, POSITIVE
from modules.sentiment_container.tokens import features, words

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

SOCIAL = [
    ("lol this is soooo good \U0001f602\U0001f602 love it", "positive"),
    ("OMG best day EVER!!! :D", "positive"),
    ("@shop thx, u guys rock :)", "positive"),
    ("ugh, I hate Mondays :(", "negative"),
    ("worst update ever, wtf #fail", "negative"),
    ("so sad right now \U0001f62d", "negative"),
]
LEXICON = Lexicon.load(MODELS_FOLDER / LEXICON_FILE)


@pytest.fixture(scope="module")
def model() -> SentimentModel:
    return SentimentModel()


def test_the_documented_example_is_clearly_negative(model: SentimentModel) -> None:
    assert model.judge([DESPISED])[0].score < 0.05


@pytest.mark.parametrize("text", PRAISE)
def test_plain_praise_is_clearly_positive(model: SentimentModel, text: str) -> None:
    assert model.judge([text])[0].score > 0.95


@pytest.mark.parametrize("text", BLAME)
def test_plain_blame_is_clearly_negative(model: SentimentModel, text: str) -> None:
    assert model.judge([text])[0].score < 0.05


@pytest.mark.parametrize("text", NEITHER)
def test_plain_statements_and_unknown_words_are_neither(model: SentimentModel, text: str) -> None:
    assert 0.3 < model.judge([text])[0].score < 0.7


def test_none_of_these_texts_was_learnt() -> None:
    learnt = {text.lower().rstrip(".!") for text in [*POSITIVE, *NEGATIVE, *NEUTRAL]}
    assert not learnt & {text.lower().rstrip(".!") for text in [DESPISED, *PRAISE, *BLAME, *NEITHER]}


def test_order_and_company_do_not_matter(model: SentimentModel) -> None:
    texts = [*PRAISE, *BLAME, ""]
    alone = [model.judge([text])[0].score for text in texts]
    assert [verdict.score for verdict in model.judge(texts)] == pytest.approx(alone, abs=1e-5)
    assert model.judge([]) == []


def test_confidences_sum_to_one_and_the_label_is_the_greatest(model: SentimentModel) -> None:
    for verdict in model.judge([*PRAISE, *BLAME, *NEITHER]):
        assert sum(verdict) == pytest.approx(1, abs=1e-6)
        assert getattr(verdict, verdict.label) == max(verdict)


@pytest.mark.parametrize("text", NEITHER)
def test_plain_statements_are_called_neutral(model: SentimentModel, text: str) -> None:
    assert model.judge([text])[0].label == "neutral"


@pytest.mark.parametrize(("text", "label"), SOCIAL)
def test_social_text_is_understood(model: SentimentModel, text: str, label: str) -> None:
    assert model.judge([text])[0].label == label


def test_a_negation_turns_a_word_round(model: SentimentModel) -> None:
    good, not_good, bad, not_bad = (verdict.score for verdict in model.judge(["good", "not good", "bad", "not bad"]))
    assert not_good < 0.5 < good
    assert bad < 0.5 < not_bad


def lexicon_measures(text: str) -> float:
    cased = words(text)
    return LEXICON.measures(text, cased, [word.lower() for word in cased])[0]


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("it is good", "it is very good"),
        ("it is slightly good", "it is good"),
        ("it is good", "it is GOOD"),
        ("good but bad", "bad but good"),
        ("fine", "fine :)"),
        ("fine", "fine \U0001f600"),
    ],
)
def test_the_lexicon_hears_emphasis_contrast_and_symbols(weaker: str, stronger: str) -> None:
    assert lexicon_measures(weaker) < lexicon_measures(stronger)


def test_features_are_found_in_any_spelling_of_not() -> None:
    expected = {"do", "n't", "stop", "!", "do n't", "n't stop", "stop !", "~stop"}
    assert features([word.lower() for word in words("Don't stop!!")]) == expected
    assert features([word.lower() for word in words("don\u2019t STOP!")]) == expected


def test_longer_words_have_a_beginning_of_their_own() -> None:
    assert features(["wonderful"]) == {"wonderful", "^wonde"}
