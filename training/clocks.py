"""Features that tell the date rather than the customer, while a history is young."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.signals import Int64Array, SignalColumns, SignalLog

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# On Complete Journey the steadiest clock moves by .27 and the least steady honest feature by
# .10; any limit from .1 to .25 gives about the same loss there.
DRIFT: Final = 0.2
# A feature whose value would be another for so many customers, were older signals unknown,
# needs those older signals.
CHANGED: Final = 0.05
# A decayed count never forgets quite: a change of less than this part of the feature's standard
# deviation is none.
SLIGHT: Final = 0.01


def clocks(
    log: SignalLog, features: FeatureSet, rows: FloatArray, as_of: Int64Array, first: int
) -> BoolArray:
    """Features to leave out of training, shape (n_features,).

    While a history is young, "orders ever" and "days since the first order" rise with the
    calendar, for everybody. A model that leans on them meets values later that it has never
    seen: on Complete Journey they cost 5 % of log loss and a calibration error of .05. A
    feature is such a clock if both hold: its values moved between the first and the last third
    of the training rows, and it looks further back than the first snapshot could. What moves
    with the season alone is no clock. No answer is looked at.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)
    as_of : ndarray of int64, shape (n,)
        Snapshot of each row.
    first : int
        When the history begins.
    """
    early, late = np.quantile(as_of, (1 / 3, 2 / 3))
    before, after = rows[as_of <= early], rows[as_of > late]
    if not len(before) or not len(after):
        return np.zeros(len(features), dtype=bool)
    drift = np.array([distance(a, b) for a, b in zip(before.T, after.T, strict=True)])
    last = int(as_of.max())
    memory = int(as_of.min()) - first
    return (drift > DRIFT) & (_needing_more(log, features, last, last - memory) > CHANGED)


def distance(first: FloatArray, second: FloatArray) -> float:
    """Kolmogorov-Smirnov distance; a missing value counts as the smallest. Between 0 and 1.

    Source: Smirnov (1948).
    """
    a, b = np.sort(_filled(first)), np.sort(_filled(second))
    both = np.concatenate([a, b])
    below_a = np.searchsorted(a, both, side="right") / len(a)
    below_b = np.searchsorted(b, both, side="right") / len(b)
    return float(np.max(np.abs(below_a - below_b)))


def _needing_more(log: SignalLog, features: FeatureSet, as_of: int, since: int) -> FloatArray:
    """Share of customers whose feature at `as_of` needs signals older than `since`.

    Shape (n_features,). Of the customers with a signal between the two.
    """
    young = _since(log, since)
    known = young.owners()
    people = np.unique(known[young.columns.occurred_at < as_of])
    if not len(people):
        return np.zeros(len(features))
    moments = np.full(len(people), as_of, dtype=np.int64)
    whole = feature_matrix(features, log, people, moments)
    part = feature_matrix(features, young, people, moments)
    same = (np.abs(whole - part) <= SLIGHT * _deviations(whole)) | (
        np.isnan(whole) & np.isnan(part)
    )
    return np.asarray(1.0 - same.mean(axis=0))


def _deviations(rows: FloatArray) -> FloatArray:
    """Standard deviation of each column's values, shape (n_features,); 0 without any."""
    known = [column[~np.isnan(column)] for column in rows.T]
    return np.array([column.std() if len(column) else 0.0 for column in known])


def _since(log: SignalLog, since: int) -> SignalLog:
    """The log without what occurred before `since`."""
    kept = log.columns.occurred_at >= since
    before = np.concatenate([[0], np.cumsum(kept)])
    columns = SignalColumns(*(column[kept] for column in log.columns.columns()))
    return SignalLog(log.customer_ids, before[log.starts].astype(np.int64), columns)


def _filled(values: FloatArray) -> FloatArray:
    return np.where(np.isnan(values), -np.inf, values)
