"""Intervals over customers against closed forms and against doing it the long way."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.metrics import (
    auc_difference,
    calibration_difference,
    calibration_error,
    mean_interval,
)


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Answers, good scores, worse scores and weights of n rows."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n)
    answers = (rng.random(n) < 1 / (1 + np.exp(-hidden))).astype(np.int8)
    good = 1 / (1 + np.exp(-hidden - rng.normal(size=n) / 2))
    worse = 1 / (1 + np.exp(-hidden - 2 * rng.normal(size=n)))
    return answers, good, worse, rng.uniform(0.5, 2, n)


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(5, 2, 2000)
    found = mean_interval(np.arange(2000), values, np.random.default_rng(1))
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.difference == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)


def test_rows_of_one_customer_count_as_one() -> None:
    values = np.random.default_rng(3).normal(5, 2, 500)
    alone = mean_interval(np.arange(500), values, np.random.default_rng(1))
    tenfold = mean_interval(
        np.repeat(np.arange(500), 10), np.repeat(values, 10), np.random.default_rng(1)
    )
    assert (tenfold.low, tenfold.high) == pytest.approx((alone.low, alone.high))


def test_a_difference_of_areas_is_that_of_scikit_learn() -> None:
    answers, good, worse, weights = drawn(7, 1500)
    found = auc_difference(np.arange(1500), answers, good, worse, np.random.default_rng(1), weights)
    expected = roc_auc_score(answers, good, sample_weight=weights) - roc_auc_score(
        answers, worse, sample_weight=weights
    )
    assert found.difference == pytest.approx(expected)
    assert 0 < found.low < expected < found.high


def test_a_paired_difference_is_surer_than_either_area() -> None:
    answers, good, _, _ = drawn(7, 1500)
    nearly = good + np.random.default_rng(2).normal(0, 0.01, 1500)
    found = auc_difference(np.arange(1500), answers, nearly, good, np.random.default_rng(1))
    assert found.high - found.low < 0.01


@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_difference_of_calibration_errors(is_weighted: bool) -> None:
    answers, good, worse, weights = drawn(11, 3000)
    own = weights if is_weighted else None
    found = calibration_difference(
        np.arange(3000), answers, worse, good, np.random.default_rng(1), own
    )
    gap = calibration_error(answers, worse, own) - calibration_error(answers, good, own)
    assert found.difference == pytest.approx(gap)
    assert 0.05 < found.low < gap < found.high
    same = calibration_difference(
        np.arange(3000), answers, good, good, np.random.default_rng(1), own
    )
    assert (same.difference, same.low, same.high) == (0, 0, 0)
