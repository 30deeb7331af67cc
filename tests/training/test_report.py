"""The numbers of a test: digests, bins and tenths against sums done by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from features.signals import DAY
from training import fit
from training.metrics import calibration_error
from training.report import calibration_bins, data_digest, lift_tenths

SCORES = np.linspace(0.05, 0.95, 40)


def rows_of(answers: np.ndarray, weights: np.ndarray | None = None) -> fit.Tested:
    n = len(answers)
    places = np.arange(n, dtype=np.int64)
    own = np.ones(n) if weights is None else weights
    return fit.Tested(np.zeros((n, 1)), answers.astype(np.int8), places, places, own, {})


def test_the_highest_scores_stand_in_the_first_tenth() -> None:
    found = lift_tenths(rows_of(SCORES > 0.7), SCORES)
    yes = int(np.sum(SCORES > 0.7))
    assert [each.tenth for each in found] == list(range(1, 11))
    assert [each.rows for each in found] == [4] * 10
    assert (found[0].observed, found[-1].observed) == (1.0, 0.0)
    assert found[0].lift == pytest.approx(40 / yes)
    assert found[0].captured == pytest.approx(4 / yes)
    assert found[-1].captured == pytest.approx(1.0)


def test_a_weight_counts_like_so_many_rows() -> None:
    answers = np.arange(40) % 3 == 0
    weights = np.tile([1.0, 3.0], 20)
    found = lift_tenths(rows_of(answers, weights), SCORES)
    top = np.repeat(answers[-4:], weights[-4:].astype(int))
    everyone = np.repeat(answers, weights.astype(int))
    assert found[0].observed == pytest.approx(top.mean())
    assert found[0].lift == pytest.approx(top.mean() / everyone.mean())
    assert found[0].captured == pytest.approx(top.sum() / everyone.sum())


def test_without_a_yes_there_is_no_lift() -> None:
    assert lift_tenths(rows_of(np.zeros(40)), SCORES) == ()


@pytest.mark.parametrize("weights", [None, np.tile([0.5, 2.0], 20)], ids=["alike", "weighted"])
def test_the_bins_are_those_of_the_calibration_error(weights: np.ndarray | None) -> None:
    rows = rows_of(np.arange(40) % 4 == 0, weights)
    bins = calibration_bins(rows, SCORES)
    shares = np.array([part.sum() for part in np.split(rows.weights, 10)]) / rows.weights.sum()
    gaps = [abs(each.mean_predicted - each.observed) for each in bins]
    assert sum(each.rows for each in bins) == 40
    assert shares @ gaps == pytest.approx(calibration_error(rows.answers, SCORES, rows.weights))


def test_a_digest_changes_with_any_signal_and_only_then(log_of: Callable) -> None:  # type: ignore[type-arg]
    facts = {"a": [("Order Completed", 5 * DAY)], "b": [("Page Viewed", 6 * DAY)]}
    log = log_of(facts)
    assert data_digest(log) == data_digest(log_of(facts))
    later = log_of(facts | {"b": [("Page Viewed", 6 * DAY + 1)]})
    renamed = log_of({"a": facts["a"], "c": facts["b"]})
    other = replace(log, columns=replace(log.columns, value=log.columns.value + 1))
    assert len({data_digest(each) for each in (log, later, renamed, other)}) == 4
