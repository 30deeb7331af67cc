import numpy as np
import pytest

from features.signals import DAY
from models.classifier import Calibration
from training.calibration import cross_fitted, line_that_wins
from training.contest import Rows
from training.forest import BoosterSettings, Growth
from training.metrics import fitted_line


def said(slope_early: float, slope_late: float, n: int = 6000) -> tuple[Rows, np.ndarray]:
    """Rows at ten moments and log-odds whose true slope changes for the last three of them."""
    rng = np.random.default_rng(1)
    log_odds = rng.normal(0, 1.5, n)
    moments = np.repeat(np.arange(10), n // 10)
    slope = np.where(moments >= 7, slope_late, slope_early)
    answers = (rng.random(n) < 1 / (1 + np.exp(-slope * log_odds - 0.3))).astype(np.int8)
    rows = log_odds[:, None]
    none = np.zeros(1, dtype=bool)
    as_of = moments.astype(np.int64) * DAY
    return Rows(rows, answers, np.arange(n), as_of, np.ones(n), none), log_odds


def test_a_line_that_wins_on_later_snapshots_is_kept() -> None:
    rows, log_odds = said(0.5, 0.5)
    found = line_that_wins(rows, log_odds)
    assert (found.slope, found.intercept) == pytest.approx((0.5, 0.3), abs=0.06)
    assert found == Calibration(*fitted_line(rows.answers, log_odds))


def test_a_line_that_loses_on_later_snapshots_is_not() -> None:
    # It is as right as before about the past, and wrong about what came then.
    rows, log_odds = said(0.4, 1.2)
    assert line_that_wins(rows, log_odds) == Calibration()


def test_a_line_that_runs_backwards_is_not_kept() -> None:
    rows, log_odds = said(-0.5, -0.5)
    assert line_that_wins(rows, log_odds) == Calibration()


def test_one_answer_or_one_moment_gives_no_line() -> None:
    rows, log_odds = said(0.5, 0.5)
    assert line_that_wins(rows.at(rows.answers == 1), log_odds[rows.answers == 1]) == Calibration()
    first = rows.as_of == 0
    assert line_that_wins(rows.at(first), log_odds[first]) == Calibration()


def test_a_forest_that_says_too_much_is_calibrated_on_customers_it_has_not_seen() -> None:
    # Small leaves without a penalty: certain of what is luck.
    rng = np.random.default_rng(2)
    n = 3000
    rows = rng.normal(size=(n, 4))
    answers = (rng.random(n) < 1 / (1 + np.exp(-rows[:, 0]))).astype(np.int8)
    none = np.zeros(4, dtype=bool)
    as_of = np.tile(np.arange(10), n // 10).astype(np.int64)
    customers = np.arange(n) // 10
    learned = Rows(rows, answers, customers, as_of, np.ones(n), none)
    names = ("a", "b", "c", "d")
    eager = BoosterSettings(rounds=150, learning_rate=0.3, num_leaves=31, lambda_l2=0.0)
    found = cross_fitted(learned, names, Growth(eager, 1), np.random.default_rng(1)).line
    assert 0.1 < found.slope < 0.6
    calm = BoosterSettings(rounds=40)
    gentle = cross_fitted(learned, names, Growth(calm, 1), np.random.default_rng(1)).line
    assert gentle.slope > 1.0 or gentle == Calibration()
