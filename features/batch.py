"""Features of many customers, or of one: both ask the same kernel."""

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.kernel import Columns, Float64Array, sweep
from features.signals import Int64Array, SignalColumns, SignalLog


class UnusableSignals(ValueError):
    """Signals that cannot be read as columns of one length, sorted by time."""


class UnusableRows(ValueError):
    """Asked-for rows that name no customer of the log, or do not pair up."""


def feature_matrix(
    features: FeatureSet, log: SignalLog, customers: Int64Array, as_of: Int64Array
) -> Float64Array:
    """Features of each (customer, as_of) pair.

    Parameters
    ----------
    features : FeatureSet
    log : SignalLog
    customers : ndarray of int64, shape (n_rows,)
        Positions in ``log.customer_ids``. Fastest where equal ones stand together.
    as_of : ndarray of int64, shape (n_rows,)
        Microseconds UTC.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features)

    Raises
    ------
    UnusableRows
        If the two arrays differ in shape, or a customer is not in the log.
    UnusableSignals
        If the log's columns or boundaries do not fit, or a customer's signals are not sorted.
    """
    customers, as_of = _integers(customers), _integers(as_of)
    if customers.ndim != 1 or customers.shape != as_of.shape:
        raise UnusableRows(
            f"customers have the shape {customers.shape} and as_of {as_of.shape}; "
            "both must be (n_rows,); give one as_of for each customer"
        )
    if len(customers) and not 0 <= customers.min() <= customers.max() < len(log):
        raise UnusableRows(
            f"customers run from {customers.min()} to {customers.max()}; the log holds "
            f"{len(log)}, numbered from 0; give positions in log.customer_ids"
        )
    columns, starts = _columns(log.columns), _integers(log.starts)
    if (
        len(starts) != len(log) + 1
        or starts[0] != 0
        or starts[-1] != len(log.columns)
        or bool(np.any(np.diff(starts) < 0))
    ):
        raise UnusableSignals(
            f"the log's boundaries do not fit: {len(starts)} starts for {len(log)} customers "
            f"and {len(log.columns)} signals; they must rise from 0 to the number of signals, "
            "one more than customers; load the history again"
        )
    rows = np.empty((len(customers), len(features)), dtype=np.float64)
    unsorted = sweep(features.program, columns, starts, customers, as_of, rows)
    if unsorted >= 0:
        raise UnusableSignals(_NOT_SORTED.format(log.customer_ids[customers[unsorted]]))
    return rows


def feature_row(features: FeatureSet, signals: SignalColumns, as_of: int) -> Float64Array:
    """Features of one customer at one moment.

    Parameters
    ----------
    features : FeatureSet
    signals : SignalColumns
        The customer's, sorted by `occurred_at`.
    as_of : int
        Microseconds UTC.

    Returns
    -------
    ndarray of float64, shape (n_features,)

    Raises
    ------
    UnusableSignals
        If the columns differ in length, or are not sorted.
    """
    columns = _columns(signals)
    rows = np.empty((1, len(features)), dtype=np.float64)
    starts = _integers(np.array([0, len(signals)]))
    first, moment = _integers(np.zeros(1, dtype=np.int64)), _integers(np.array([as_of]))
    if sweep(features.program, columns, starts, first, moment, rows) >= 0:
        raise UnusableSignals(_NOT_SORTED.format("in hand"))
    row: NDArray[np.float64] = rows[0]
    return row


_NOT_SORTED = (
    "signals of the customer {} are not sorted by occurred_at; "
    "they must be; load them from the history or the store, which sort them"
)


def _columns(signals: SignalColumns) -> Columns:
    lengths = {len(column) for column in signals.columns()}
    if len(lengths) != 1:
        raise UnusableSignals(
            f"signal columns have the lengths {sorted(lengths)}; all six must be equally long; "
            "load them again"
        )
    event, occurred_at, received_at, amount, value, category = signals.columns()
    return (
        _integers(event),
        _integers(occurred_at),
        _integers(received_at),
        _integers(amount),
        _integers(value),
        _integers(category),
    )


def _integers(values: Int64Array) -> Int64Array:
    """The same numbers as a read-only, contiguous view.

    The kernel is compiled once for each kind of array it meets: let it meet one.
    """
    view = np.ascontiguousarray(values, dtype=np.int64).view()
    view.flags.writeable = False
    return view
