"""Sentences: every one can be said, states a fact, and has no mistake that is not named."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from features.algebra import FeatureSet
from features.definitions import FEATURES
from models.language import ENGLISH
from models.reason_texts import (
    FORBIDDEN,
    InvalidReasonTexts,
    ReasonTexts,
    load_reason_texts,
    sentence,
)

SHIPPED = Path(__file__).parents[2] / "serving" / "reasons.toml"


@given(share=some.floats(0, 1), value=some.floats(-1e6, 1e6, allow_nan=False))
def test_every_shipped_sentence_can_be_said(share: float, value: float) -> None:
    texts = load_reason_texts(SHIPPED, FEATURES)
    rng = np.random.default_rng(int(share * 1e6))
    values = {name: np.nan if rng.random() < share else value for name in FEATURES.names}
    for feature in FEATURES.features:
        said = sentence(feature, values, FEATURES, texts)
        assert said.endswith(".")
        assert len(said) <= 140
        assert not FORBIDDEN.search(said)
        assert not re.search(r"[{}]|nan|--", said)


def test_sentences_show_the_values_of_the_row(texts: ReasonTexts) -> None:
    by_name = {feature.name: feature for feature in FEATURES.features}
    values = dict.fromkeys(FEATURES.names, float("nan"))
    assert sentence(by_name["days_since_last_order"], values, FEATURES, texts) == (
        "No order on record yet."
    )
    values["days_since_last_order"] = 73.6
    assert sentence(by_name["days_since_last_order"], values, FEATURES, texts) == (
        "Last order was 74 days ago; it is the only one so far."
    )
    values["usual_gap_days"] = 28.2
    assert sentence(by_name["days_since_last_order"], values, FEATURES, texts) == (
        "Last order was 74 days ago; this customer usually orders every 28 days."
    )
    values["subscription_days_left"] = -3.0
    assert sentence(by_name["subscription_days_left"], values, FEATURES, texts) == (
        "The subscription ended 3 days ago."
    )


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.4, "days", "less than a day"),
        (0.0, "days", "0 days"),
        (1.2, "days", "1 day"),
        (1234.0, "days", "1,234 days"),
        (0.347, "share", "35 %"),
        (1234.5, "currency", "1,234.50"),
        (3.0, "orders", "3"),
        (4.5, "points", "4.5"),
        (-2.0, "tickets", "-2"),
        (1.0, "hours", "1 hour"),
        (1.5, "hours", "1.5 hours"),
    ],
)
def test_units_choose_the_format(value: float, unit: str, words: str) -> None:
    assert ENGLISH.quantity(value, unit) == words


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[groups.recency]", "[groups.recencey]", "unknown key 'recencey'; did you mean 'recency'"),
        ("[features.nps_last]", "[features.nps_lst]", "'nps_lst'; did you mean 'nps_last'?"),
        ("{value} of 10", "{vlaue} of 10", "unknown placeholder 'vlaue'; did you mean 'value'?"),
        ("{value} of 10", "{value.real} of 10", "placeholder '{value.real}'; must be a plain name"),
        ("{value} of 10", "{value of 10", "write {value}, {label} or {a feature's name}"),
        ("Usually orders", "Leaves because of orders", "says 'because'; a score shows what goes"),
        ("rest = ", "rst = ", "unknown key 'rst'; did you mean 'rest'?"),
        ('rest = "All other signals together."', "", "no text 'rest'; it has no default; add it"),
        ('missing = "No order on record yet."', "", "group 'recency' needs both 'text' and 'missi"),
        ('"Usually orders every {value}."', "7", "7; must be text in quotes; correct it"),
        ("[groups.recency]", "[[groups.recency]]", "must be a table; write [groups.recency]"),
        ("[groups.recency]", "[groups.recency", "not TOML"),
        ('"No order on record yet."', '"No order."\nmising = "x"', "did you mean 'missing'?"),
    ],
)
def test_a_mistake_in_the_texts_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "reasons.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidReasonTexts, match=re.escape(words)):
        load_reason_texts(path, FEATURES)


def test_missing_texts_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidReasonTexts, match="no such file; `nextbest init` writes one"):
        load_reason_texts(tmp_path / "reasons.toml")


def test_a_sentence_tells_nothing_of_a_sensitive_feature(texts: ReasonTexts) -> None:
    """The last order is told, the usual gap is not: nor that there were none."""
    hidden = FeatureSet(
        tuple(replace(each, sensitive=each.name == "usual_gap_days") for each in FEATURES.features)
    )
    values = dict.fromkeys(FEATURES.names, 28.0)
    (recency,) = (each for each in hidden.features if each.name == "days_since_last_order")
    said = sentence(recency, values, hidden, texts)
    assert said == "Days since the last order: 28 days."
