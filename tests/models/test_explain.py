from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.definitions import FEATURES
from models.classifier import BaseRate, Classifier, Logistic
from models.expectation import Score
from models.explain import against_direction, reasons, starting_point
from models.reason_texts import ReasonTexts

FloatArray = NDArray[np.float64]


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


def test_what_pulls_against_its_direction_is_not_said(texts: ReasonTexts) -> None:
    """Many orders that raise the risk of churn: points for all other signals, no sentence."""
    usual = tuple(0.0 for _ in FEATURES.names)
    model, row = weighing(orders_84d=3.0, spend_84d=1.0), a_row()
    open_said = reasons(score_of(model, row), model, row, FEATURES, texts)
    assert [reason.code for reason in open_said] == ["FREQUENCY", "SPEND"]
    said = reasons(score_of(model, row), model, row, FEATURES, texts, usual)
    assert [reason.code for reason in said] == ["SPEND", "OTHER"]
    assert said[1].points == pytest.approx(open_said[0].points)
    assert not any("Orders" in reason.text for reason in said)


def test_another_feature_of_the_group_speaks_instead(texts: ReasonTexts) -> None:
    usual = tuple(0.0 for _ in FEATURES.names)
    model, row = weighing(orders_84d=3.0, orders_28d=1.0), a_row()
    (reason,) = reasons(score_of(model, row), model, row, FEATURES, texts, usual)
    assert reason.code == "FREQUENCY"
    assert reason.text.startswith("Orders in the last 28 days")


@pytest.mark.parametrize("kind", ["forest", "regression", "rule"])
def test_points_still_add_up_without_what_is_not_said(
    kind: str, rows: FloatArray, texts: ReasonTexts, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    usual = tuple(np.nanmedian(rows, axis=0).tolist())
    for row in rows[:60]:
        score = score_of(model, row)
        said = reasons(score, model, row, FEATURES, texts, usual)
        total = 100 * starting_point(model, row) + sum(reason.points for reason in said)
        assert score.value is not None
        assert total == pytest.approx(100 * score.value, abs=1e-9)


@pytest.mark.parametrize(
    ("score", "value", "usual", "part", "against"),
    [
        ("churn_risk", 9.0, 4.0, 0.3, True),  # more orders than usual raise the risk
        ("churn_risk", 9.0, 4.0, -0.3, False),
        ("churn_risk", 1.0, 4.0, -0.3, True),  # fewer lower it
        ("churn_risk", 1.0, 4.0, 0.3, False),
        ("repurchase_likelihood", 9.0, 4.0, -0.3, True),
        ("churn_risk", 4.0, 4.0, 0.3, False),  # the usual number says nothing
        ("churn_risk", float("nan"), 4.0, 0.3, False),
        ("churn_risk", 9.0, None, 0.3, False),
        ("promoter_likelihood", 9.0, 4.0, -0.3, False),  # no direction is declared
    ],
)
def test_a_part_goes_against_its_direction(
    score: str, value: float, usual: float | None, part: float, against: bool
) -> None:
    feature = FEATURES.features[FEATURES.names.index("orders_84d")]
    assert against_direction(feature, score, value, usual, part) is against
