"""What a decision is likely to bring, by communication: each customer told by the others.

Estimates of a policy's value lean on it. They stay unbiased if it is wrong, as long as it has
not seen the customer it speaks of; a better one makes the intervals shorter.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array
from training.decision_log import LoggedDecisions

FloatArray = NDArray[np.float64]

FOLDS: Final = 5
# As if so many rows more had said that a column tells nothing. Columns have unit spread.
SHRUNK: Final = 10.0
# A communication's own part needs more rows to be believed: differences are small beside what
# customers differ by themselves.
SHRUNK_OWN: Final = 100.0


def cross_fitted(log: LoggedDecisions, rng: np.random.Generator) -> FloatArray:
    """Expected reward of each communication, fitted on other customers' rows.

    Ridge regression of the reward on the state, one line for all communications and, on what
    that leaves, a shrunk line for each.

    Parameters
    ----------
    log : LoggedDecisions
        Matured rows; rewards are not NaN.
    rng : Generator
        Shares customers out among the folds.

    Returns
    -------
    ndarray of float64, shape (n, n_names)
        Currency units.
    """
    fold = rng.integers(FOLDS, size=len(log.customer_ids))[log.customer]
    design = _design(log.state)
    found = np.zeros((len(log), len(log.names)))
    for one in range(FOLDS):
        inside = fold == one
        if inside.any() and not inside.all():
            found[inside] = _fitted(design[~inside], log.at(~inside), design[inside])
    return found


def _fitted(design: FloatArray, log: LoggedDecisions, asked: FloatArray) -> FloatArray:
    """Fit on some rows, predict for others; shape (n_asked, n_names)."""
    everyone = _ridge(design, log.reward, SHRUNK, 0.0)
    left = log.reward - design @ everyone
    found = np.repeat((asked @ everyone)[:, np.newaxis], len(log.names), axis=1)
    for name in np.unique(log.chosen):
        mine: Int64Array = np.flatnonzero(log.chosen == name)
        found[:, name] += asked @ _ridge(design[mine], left[mine], SHRUNK_OWN, SHRUNK)
    return found


def _ridge(design: FloatArray, values: FloatArray, penalty: float, on_first: float) -> FloatArray:
    """Coefficients that make ``|values - design @ c|^2 + penalty * |c|^2`` least.

    The first column, the constant, has the penalty `on_first`. Source: Hoerl and Kennard (1970).
    """
    penalties = np.full(design.shape[1], penalty)
    penalties[0] = on_first
    solved = np.linalg.solve(design.T @ design + np.diag(penalties), design.T @ values)
    return np.asarray(solved, dtype=np.float64)


def _design(state: FloatArray) -> FloatArray:
    """A constant and the state's columns, each of mean 0 and spread 1; shape (n, 1 + n_state)."""
    spread = state.std(axis=0)
    alike = spread <= 1e-12 * np.maximum(1.0, np.abs(state).max(axis=0, initial=0.0))
    columns = (state - state.mean(axis=0)) / np.where(alike, 1.0, spread)
    columns[:, alike] = 0.0
    return np.column_stack([np.ones(len(state)), columns])
