import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.definitions import FEATURES
from models.classifier import BaseRate, Classifier, Logistic
from models.expectation import Score
from models.explain import (
    FORBIDDEN,
    InvalidReasonTexts,
    ReasonTexts,
    load_reason_texts,
    reasons,
    sentence,
    shown,
    starting_point,
)

FloatArray = NDArray[np.float64]
SHIPPED = Path(__file__).parents[2] / "serving" / "reasons.toml"


def score_of(model: Classifier, row: FloatArray) -> Score:
    value = float(model.predict(row[np.newaxis])[0])
    return Score("churn_risk", value, 28, 0.13, model.served_by)


def weighing(**weights: float) -> Classifier:
    """A logistic regression in which only the named features weigh; x = e - 1 counts 1."""
    n = len(FEATURES)
    coefficient = tuple(weights.get(name, 0.0) for name in FEATURES.names)
    zeros, ones = (0.0,) * n, (1.0,) * n
    return Classifier(Logistic(zeros, ones, coefficient, zeros, zeros, 0.0), FEATURES.names)


def a_row(**values: float) -> FloatArray:
    return np.array([values.get(name, np.e - 1) for name in FEATURES.names])


@pytest.mark.parametrize("kind", ["forest", "regression", "rule"])
def test_points_add_up_to_the_score(
    kind: str, rows: FloatArray, texts: ReasonTexts, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    for row in rows[:60]:
        score = score_of(model, row)
        said = reasons(score, model, row, FEATURES, texts)
        total = 100 * starting_point(model, row) + sum(reason.points for reason in said)
        assert score.value is not None
        assert total == pytest.approx(100 * score.value, abs=1e-9)
        assert len(said) <= 4
        for reason in said:
            assert reason.direction == ("raises" if reason.points >= 0 else "lowers")


def test_the_points_of_one_group_are_the_whole_way(texts: ReasonTexts) -> None:
    model, row = weighing(orders_84d=1.0), a_row()
    (reason,) = reasons(score_of(model, row), model, row, FEATURES, texts)
    assert (reason.code, reason.score) == ("FREQUENCY", "churn_risk")
    assert reason.points == pytest.approx(100 * (1 / (1 + np.exp(-1)) - 0.5))


def test_two_equal_groups_share_the_way_in_halves(texts: ReasonTexts) -> None:
    model, row = weighing(orders_84d=1.0, spend_84d=1.0), a_row()
    first, second = reasons(score_of(model, row), model, row, FEATURES, texts)
    assert first.points == pytest.approx(second.points)
    assert first.points + second.points == pytest.approx(100 * (1 / (1 + np.exp(-2)) - 0.5))


def test_groups_that_cancel_out_keep_their_points(texts: ReasonTexts) -> None:
    model, row = weighing(orders_84d=1.0, spend_84d=-1.0), a_row()
    said = reasons(score_of(model, row), model, row, FEATURES, texts)
    # The slope of the sigmoid at one half is a quarter.
    assert [round(reason.points, 6) for reason in said] == [25.0, -25.0]


def test_one_reason_of_the_other_direction_is_named(texts: ReasonTexts) -> None:
    model = weighing(orders_84d=3, spend_84d=2.5, pages_28d=2.2, tickets_90d=2, app_opens_28d=-1)
    said = reasons(score_of(model, a_row()), model, a_row(), FEATURES, texts)
    assert [reason.code for reason in said] == ["FREQUENCY", "SPEND", "APP", "OTHER"]


def test_small_groups_are_folded_into_the_rest(texts: ReasonTexts) -> None:
    model = weighing(orders_84d=3, spend_84d=0.05)
    said = reasons(score_of(model, a_row()), model, a_row(), FEATURES, texts)
    assert [(reason.code, reason.text) for reason in said][1:] == [("OTHER", texts.rest)]


def test_the_leading_feature_pulls_with_its_group(texts: ReasonTexts) -> None:
    model = weighing(orders_84d=-2, orders_28d=1.5, orders_7d=1.4)
    (reason,) = reasons(score_of(model, a_row()), model, a_row(), FEATURES, texts)
    assert reason.text.startswith("Orders in the last 28 days")


def test_sensitive_features_are_never_shown(texts: ReasonTexts) -> None:
    hidden = FeatureSet(tuple(replace(each, sensitive=True) for each in FEATURES.features))
    model = weighing(orders_84d=3)
    (reason,) = reasons(score_of(model, a_row()), model, a_row(), hidden, texts)
    assert (reason.code, reason.text) == (
        "OTHER",
        "No single reason stands out; many small signals.",
    )


def test_the_base_rate_needs_no_reasons(texts: ReasonTexts) -> None:
    model = Classifier(BaseRate(-1.0), FEATURES.names)
    assert reasons(score_of(model, a_row()), model, a_row(), FEATURES, texts) == ()


def test_a_score_without_a_value_is_not_explained(texts: ReasonTexts) -> None:
    model = weighing()
    score = Score("churn_risk", None, 28, 0.1, "logistic", "not asked: no order on record")
    with pytest.raises(ValueError, match=r"churn_risk has no value \(not asked: no order"):
        reasons(score, model, a_row(), FEATURES, texts)


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
    ],
)
def test_units_choose_the_format(value: float, unit: str, words: str) -> None:
    assert shown(value, unit) == words


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
