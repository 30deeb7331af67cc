import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression

from training.metrics import (
    OneClass,
    auc,
    auc_interval,
    brier,
    calibration_error,
    fitted_line,
    has_slope,
    log_loss,
    loss_difference,
    losses,
    mean_interval,
)

RNG = np.random.default_rng(11)
LOG_ODDS = RNG.normal(-1, 1.5, 2000)
P = 1 / (1 + np.exp(-LOG_ODDS))
ANSWERS = (RNG.random(2000) < P).astype(np.int8)


@given(
    rows=some.lists(
        some.tuples(some.booleans(), some.integers(0, 5), some.integers(1, 4)),
        min_size=2,
        max_size=40,
    ).filter(lambda rows: len({row[0] for row in rows}) == 2)
)
def test_auc_as_by_scikit_learn_with_ties_and_weights(
    rows: list[tuple[bool, int, int]],
) -> None:
    answers = np.array([row[0] for row in rows], dtype=np.int8)
    scores = np.array([row[1] for row in rows], dtype=np.float64)
    weights = np.array([row[2] for row in rows], dtype=np.float64)
    expected = sklearn_metrics.roc_auc_score(answers, scores, sample_weight=weights)
    assert auc(answers, scores, weights) == pytest.approx(expected, abs=1e-12)


def test_losses_as_by_scikit_learn() -> None:
    assert log_loss(ANSWERS, P) == pytest.approx(sklearn_metrics.log_loss(ANSWERS, P), rel=1e-12)
    assert brier(ANSWERS, P) == pytest.approx(
        sklearn_metrics.brier_score_loss(ANSWERS, P), rel=1e-12
    )


def test_a_wrong_certainty_costs_much_but_not_infinitely() -> None:
    assert losses(np.array([1], dtype=np.int8), np.array([0.0]))[0] == pytest.approx(34.5, abs=0.1)


def test_calibration_error_by_hand() -> None:
    answers = np.array([0, 1] * 10, dtype=np.int8)
    assert calibration_error(answers, np.full(20, 0.5)) == pytest.approx(0.0)
    assert calibration_error(answers, np.full(20, 0.7)) == pytest.approx(0.2)
    low_and_high = np.array([0.1] * 10 + [0.9] * 10)
    yes_where_high = np.array([0] * 10 + [1] * 10, dtype=np.int8)
    assert calibration_error(yes_where_high, low_and_high) == pytest.approx(0.1)


def test_the_calibration_line_as_by_scikit_learn() -> None:
    model = LogisticRegression(C=1e6, tol=1e-10).fit(LOG_ODDS[:, np.newaxis] * 2, ANSWERS)
    slope, intercept = fitted_line(ANSWERS, LOG_ODDS * 2)
    assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert intercept == pytest.approx(model.intercept_[0], rel=1e-3)
    assert slope == pytest.approx(0.5, abs=0.05)


def test_a_perfect_separation_has_a_line_too() -> None:
    answers = np.array([0, 0, 1, 1], dtype=np.int8)
    slope, _ = fitted_line(answers, np.array([-2.0, -1.0, 1.0, 2.0]))
    assert slope > 1
    assert np.isfinite(slope)


def test_the_interval_of_a_difference_is_that_of_theory() -> None:
    rng = np.random.default_rng(5)
    customers = np.repeat(np.arange(400), 5)
    # All five rows of a customer move together: 400 independent pieces, not 2,000.
    shift = np.repeat(rng.normal(-0.02, 0.1, 400), 5)
    old = np.ones(2000)
    found = loss_difference(customers, old + shift, old, rng)
    assert found.difference == pytest.approx(shift.mean())
    half = 1.96 * 0.1 / np.sqrt(400)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)


def test_the_interval_of_auc_holds_the_known_value() -> None:
    # Two normals one standard deviation apart: AUC = Phi(1 / sqrt 2) = .7602.
    rng = np.random.default_rng(6)
    answers = np.tile(np.array([0, 1], dtype=np.int8), 1500)
    scores = rng.normal(answers.astype(np.float64), 1.0)
    found = auc_interval(np.arange(3000), answers, scores, rng)
    assert found.low < 0.7602 < found.high
    assert found.high - found.low == pytest.approx(4 * 0.0087, rel=0.2)


@pytest.mark.parametrize("answers", [[0, 0], [1, 1]])
def test_one_class_is_said_so(answers: list[int]) -> None:
    one = np.array(answers, dtype=np.int8)
    words = f"{sum(answers)} yes among 2 answers; both answers must occur"
    with pytest.raises(OneClass, match=words):
        auc(one, np.array([0.1, 0.2]))
    with pytest.raises(OneClass, match=words):
        fitted_line(one, np.array([0.1, 0.2]))
    with pytest.raises(OneClass, match=words):
        auc_interval(np.arange(2), one, np.array([0.1, 0.2]), np.random.default_rng(1))


def test_a_row_of_weight_three_counts_as_three_rows() -> None:
    rng = np.random.default_rng(11)
    answers = (rng.random(200) < 0.4).astype(np.int8)
    log_odds = rng.normal(0, 1, 200) + answers
    scores = 1 / (1 + np.exp(-log_odds))
    weights = rng.integers(1, 4, 200)
    many = np.repeat(np.arange(200), weights)
    heavy = weights.astype(np.float64)
    assert log_loss(answers, scores, heavy) == pytest.approx(log_loss(answers[many], scores[many]))
    assert brier(answers, scores, heavy) == pytest.approx(brier(answers[many], scores[many]))
    assert fitted_line(answers, log_odds, heavy) == pytest.approx(
        fitted_line(answers[many], log_odds[many])
    )
    people, rng_of = np.arange(200), np.random.default_rng
    found = auc_interval(people, answers, scores, rng_of(1), heavy)
    assert found.difference == pytest.approx(auc(answers[many], scores[many]))
    assert found.low < found.difference < found.high
    mean = mean_interval(people, scores, rng_of(1), heavy)
    assert mean.difference == pytest.approx(scores[many].mean())


def test_weights_move_the_calibration_error() -> None:
    answers = np.array([0, 1] * 10, dtype=np.int8)
    scores = np.full(20, 0.5)
    assert calibration_error(answers, scores) == 0.0
    # In each tenth, one yes of weight 3 and one no of weight 1: three quarters say yes.
    assert calibration_error(answers, scores, np.array([1.0, 3.0] * 10)) == pytest.approx(0.25)


def test_a_slope_needs_two_answers_and_two_scores() -> None:
    assert has_slope(ANSWERS, LOG_ODDS)
    assert not has_slope(ANSWERS, np.full(2000, -0.4))
    assert not has_slope(ANSWERS, -0.4 + 1e-12 * LOG_ODDS)
    assert not has_slope(np.zeros(2000, dtype=np.int8), LOG_ODDS)
    assert not has_slope(np.empty(0, dtype=np.int8), np.empty(0))
