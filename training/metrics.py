"""How good probabilities are, and how sure one may be of a difference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array
from models.classifier import sigmoid

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

SMALLEST: Final = 1e-15  # a probability of exactly 0 or 1 that is wrong would cost infinity
BINS: Final = 10
SAME: Final = 1e-9  # log-odds that differ by less differ by rounding alone


class OneClass(ValueError):
    """A measure that needs both a yes and a no was asked for with only one of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, and the 95 % interval of its bootstrap."""

    difference: float
    low: float
    high: float


def auc(answers: Int8Array, scores: FloatArray, weights: FloatArray | None = None) -> float:
    """Probability that a random yes scores above a random no; ties count half.

    Parameters
    ----------
    answers : ndarray of int8, shape (n,)
        1: yes, 0: no.
    weights : ndarray of float64, shape (n,), optional

    Raises
    ------
    OneClass
        If one of the two answers does not occur.
    """
    weights = np.ones(len(answers)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    return _sorted_auc(answers[order], _ties(scores[order]), weights[order])


def log_loss(
    answers: Int8Array, probabilities: FloatArray, weights: FloatArray | None = None
) -> float:
    """Mean of -log of the probability given to what happened."""
    return float(np.average(losses(answers, probabilities), weights=weights))


def losses(answers: Int8Array, probabilities: FloatArray) -> FloatArray:
    """-log of the probability given to what happened, shape (n,)."""
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.asarray(-np.log(np.where(answers == 1, p, 1 - p)))


def brier(
    answers: Int8Array, probabilities: FloatArray, weights: FloatArray | None = None
) -> float:
    """Mean squared difference of probability and answer. Source: Brier (1950)."""
    return float(np.average((probabilities - answers) ** 2, weights=weights))


def calibration_error(
    answers: Int8Array, probabilities: FloatArray, weights: FloatArray | None = None
) -> float:
    """Mean |share of yes - mean probability| over tenths of the rows, by probability."""
    order = np.argsort(probabilities, kind="stable")
    weights = np.ones(len(answers)) if weights is None else weights
    error = 0.0
    for bin_ in np.array_split(order, BINS):
        if len(bin_):
            gap = float(np.average(answers[bin_] - probabilities[bin_], weights=weights[bin_]))
            error += abs(gap) * float(weights[bin_].sum() / weights.sum())
    return error


def log_odds_of(probabilities: FloatArray) -> FloatArray:
    """Log-odds of probabilities, those of 0 and 1 taken as 1e-12 away from it."""
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p / (1 - p)))


def has_slope(answers: Int8Array, log_odds: FloatArray) -> bool:
    """Whether `fitted_line` means anything: both answers occur, and the log-odds differ."""
    both = 0 < int(np.sum(answers == 1)) < len(answers)
    return both and float(np.ptp(log_odds)) > SAME


def fitted_line(
    answers: Int8Array, log_odds: FloatArray, weights: FloatArray | None = None
) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of the answers on log-odds.

    Slope 1 and intercept 0 for a calibrated model. Source: Cox (1958). By Newton's method
    with a penalty of 1e-6, so that a perfect separation has an answer too.

    Raises
    ------
    OneClass
        If one of the two answers does not occur.
    """
    _require_both(answers)
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    line = np.array([1.0, 0.0])
    weights = np.ones(len(answers)) if weights is None else weights
    for _ in range(50):
        p = sigmoid(np.clip(design @ line, -30, 30))
        gradient = design.T @ (weights * (answers - p)) - 1e-6 * line
        bend = (weights * p * (1 - p))[:, np.newaxis]
        curvature = (design * bend).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # Log-odds are of the order of one: a longer step has left the valley.
        line = line + step / max(1.0, float(np.max(np.abs(step))) / 2)
        if float(np.max(np.abs(step))) < 1e-10:
            break
    return float(line[0]), float(line[1])


def slope_interval(
    customers: Int64Array,
    answers: Int8Array,
    log_odds: FloatArray,
    weights: FloatArray | None = None,
) -> Interval:
    """Slope of `fitted_line` with its 95 % interval, rows of one customer taken together.

    In closed form, since a bootstrap would fit hundreds of lines. Source: Liang and Zeger (1986).

    Raises
    ------
    OneClass
        If one of the two answers does not occur.
    """
    slope, intercept = fitted_line(answers, log_odds, weights)
    weights = np.ones(len(answers)) if weights is None else weights
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    p = sigmoid(np.clip(slope * log_odds + intercept, -30, 30))
    curvature = (design * (weights * p * (1 - p))[:, np.newaxis]).T @ design + 1e-6 * np.eye(2)
    pull = design * (weights * (answers - p))[:, np.newaxis]
    _, place = np.unique(customers, return_inverse=True)
    sums = np.column_stack([np.bincount(place, weights=column) for column in pull.T])
    inverse = np.linalg.inv(curvature)
    # Rounding may take a variance of nothing below nothing.
    error = float(np.sqrt(max(0.0, (inverse @ (sums.T @ sums) @ inverse)[0, 0])))
    return Interval(slope, slope - 1.96 * error, slope + 1.96 * error)


def loss_difference(
    customers: Int64Array, new: FloatArray, old: FloatArray, rng: np.random.Generator
) -> Interval:
    """Relative difference of mean losses, (new - old) / old, resampling customers.

    Rows of one customer are not independent, so whole customers are drawn, the same ones for
    both models.

    Parameters
    ----------
    customers : ndarray of int64, shape (n,)
    new, old : ndarray of float64, shape (n,)
        Loss of each row.
    """
    _, place = np.unique(customers, return_inverse=True)
    gain = np.bincount(place, weights=new - old)
    reference = np.bincount(place, weights=old)
    drawn = []
    for times in _draws(len(gain), rng):
        drawn.append(float(times @ gain) / max(float(times @ reference), SMALLEST))
    return _interval(float(gain.sum() / max(reference.sum(), SMALLEST)), drawn)


def auc_interval(
    customers: Int64Array,
    answers: Int8Array,
    scores: FloatArray,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> Interval:
    """AUC with its 95 % interval, resampling customers; rows may have weights of their own.

    Raises
    ------
    OneClass
        If one of the two answers does not occur.
    """
    drawn = [one for (one,) in _auc_draws(customers, answers, (scores,), rng, weights)]
    return _interval(auc(answers, scores, weights), drawn)


def auc_difference(
    customers: Int64Array,
    answers: Int8Array,
    new: FloatArray,
    old: FloatArray,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> Interval:
    """AUC of new scores less that of old ones, on the same draws of customers.

    Parameters
    ----------
    customers : ndarray of int64, shape (n,)
    answers : ndarray of int8, shape (n,)
    new, old : ndarray of float64, shape (n,)
        Scores of each row.
    weights : ndarray of float64, shape (n,), optional

    Raises
    ------
    OneClass
        If one of the two answers does not occur.
    """
    draws = _auc_draws(customers, answers, (new, old), rng, weights)
    gap = auc(answers, new, weights) - auc(answers, old, weights)
    return _interval(gap, [one - two for one, two in draws])


def _auc_draws(
    customers: Int64Array,
    answers: Int8Array,
    scores: tuple[FloatArray, ...],
    rng: np.random.Generator,
    weights: FloatArray | None,
) -> Iterator[list[float]]:
    """AUC of each of some scores, on the same customers drawn again and again."""
    _require_both(answers)
    _, place = np.unique(customers, return_inverse=True)
    own = np.ones(len(answers)) if weights is None else weights
    orders = [np.argsort(each, kind="stable") for each in scores]
    ranked = [
        (answers[order], _ties(each[order]), order)
        for each, order in zip(scores, orders, strict=True)
    ]
    for times in _draws(int(place.max()) + 1, rng):
        counts = own * times[place]
        # a draw of one class only has no AUC
        if counts[answers == 1].sum() > 0 and counts[answers == 0].sum() > 0:
            yield [_sorted_auc(said, ties, counts[order]) for said, ties, order in ranked]


def calibration_difference(
    customers: Int64Array,
    answers: Int8Array,
    new: FloatArray,
    old: FloatArray,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> Interval:
    """Calibration error of new probabilities less that of old ones, resampling customers.

    The tenths stay those of all rows; see `calibration_error`.

    Parameters
    ----------
    customers : ndarray of int64, shape (n,), n > 0
    answers : ndarray of int8, shape (n,)
    new, old : ndarray of float64, shape (n,)
    weights : ndarray of float64, shape (n,), optional
    """
    _, place = np.unique(customers, return_inverse=True)
    own = np.ones(len(answers)) if weights is None else weights
    tenths = [_tenth_of_each(scores) for scores in (new, old)]
    gaps = [answers - scores for scores in (new, old)]
    drawn = []
    for times in _draws(int(place.max()) + 1, rng):
        counts = own * times[place]
        one, two = (
            float(np.sum(np.abs(np.bincount(tenth, weights=counts * gap)))) / float(counts.sum())
            for tenth, gap in zip(tenths, gaps, strict=True)
        )
        drawn.append(one - two)
    gap = calibration_error(answers, new, weights) - calibration_error(answers, old, weights)
    return _interval(gap, drawn)


def _tenth_of_each(scores: FloatArray) -> Int64Array:
    """Number of the tenth that each row belongs to, by score, lowest first."""
    tenth = np.empty(len(scores), dtype=np.int64)
    for number, some in enumerate(np.array_split(np.argsort(scores, kind="stable"), BINS)):
        tenth[some] = number
    return tenth


def mean_interval(
    customers: Int64Array,
    values: FloatArray,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> Interval:
    """Mean of a value per row with its 95 % interval, resampling customers.

    Parameters
    ----------
    customers : ndarray of int64, shape (n,)
    values : ndarray of float64, shape (n,), n > 0
    weights : ndarray of float64, shape (n,), optional
    """
    _, place = np.unique(customers, return_inverse=True)
    weights = np.ones(len(values)) if weights is None else weights
    total, rows = np.bincount(place, weights=weights * values), np.bincount(place, weights=weights)
    drawn = [float(times @ total) / float(times @ rows) for times in _draws(len(total), rng)]
    return _interval(float(np.average(values, weights=weights)), drawn)


DRAWS: Final = 400  # the ends of a 95 % interval then rest on ten draws each


def _draws(n: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """How often each of n is drawn, one array of shape (n,) a resampling."""
    for _ in range(DRAWS):
        yield np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _interval(value: float, drawn: Sequence[float]) -> Interval:
    """A measure, and the middle 95 % of what it was on the draws."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _ties(ascending: FloatArray) -> Int64Array:
    """Number of the group of equal scores that each row belongs to."""
    if not len(ascending):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(ascending) > 0)]).astype(np.int64)


def _sorted_auc(answers: Int8Array, ties: Int64Array, weights: FloatArray) -> float:
    _require_both(answers)
    yes = np.bincount(ties, weights=weights * (answers == 1))
    no = np.bincount(ties, weights=weights * (answers == 0))
    below = np.cumsum(no) - no
    return float(np.sum(yes * (below + no / 2)) / (yes.sum() * no.sum()))


def _require_both(answers: Int8Array) -> None:
    positives = int(np.sum(answers == 1))
    if positives in (0, len(answers)):
        raise OneClass(
            f"{positives} yes among {len(answers)} answers; both answers must occur; "
            "wait for more data or choose another window"
        )
