"""What happened after `as_of`: yes, no, money, or not known yet."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.definitions import FEATURES
from features.signals import ABSENT, DAY, MINOR_UNITS, Int64Array, SignalLog, code
from features.stage import subscription_runs
from models.at_risk import SUBSCRIPTION_FEATURES
from models.targets import EVER, LAPSE, ORDER, Target

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

NO_LABEL: Final = -1
REFUND: Final = "Order Refunded"


@dataclass(frozen=True, slots=True)
class Labels:
    """Answers to one target's question.

    Attributes
    ----------
    values : ndarray of int8, shape (n,)
        1: yes; 0: no; -1: not asked (not at risk) or not known yet (censored).
    censored : int
        Rows whose label window was not over at the data's end.
    not_at_risk : int
        Rows without an event that puts them at risk, among those not censored.
    """

    values: Int8Array
    censored: int
    not_at_risk: int


def labels(
    log: SignalLog, customers: Int64Array, as_of: Int64Array, target: Target, data_end: int
) -> Labels:
    """Answers to a target's question, one a row.

    Parameters
    ----------
    customers, as_of : ndarray of int64, shape (n,)
        Index of a customer in the log, and the moment at which it is looked at.
    data_end : int
        Signals that occurred or were received then or later do not exist. A window that ends
        later is censored: dropped and counted, never a "no".
    """
    values = np.full(len(customers), NO_LABEL, dtype=np.int8)
    complete = as_of + target.window_days * DAY <= data_end
    asked = np.zeros(len(customers), dtype=bool)
    asked[complete] = at_risk_then(log, customers[complete], as_of[complete], target)
    if target.outcome == LAPSE:
        later = as_of[complete] + target.window_days * DAY
        # What happened in the window counts whenever it was heard of, as with all labels.
        heard = _heard_at_once(log, data_end)
        values[complete] = ~_runs(heard, customers[complete], later)
    else:
        seen = _happened(log, customers, as_of, target, data_end)
        values[complete] = seen[complete] == (target.outcome == "presence")
    values[~asked] = NO_LABEL
    return Labels(
        values,
        censored=int(np.sum(~complete)),
        not_at_risk=int(np.sum(complete & ~asked)),
    )


def at_risk_then(
    log: SignalLog, customers: Int64Array, as_of: Int64Array, target: Target
) -> NDArray[np.bool_]:
    """Whom the target's question was asked of at each moment, shape (n,).

    The same as `models.at_risk.at_risk` says of the features of that moment.
    """
    if target.of_subscribers:
        return _runs(log, customers, as_of)
    asked = np.zeros(len(customers), dtype=bool)
    events = _owned(log, target.at_risk)
    for moment in np.unique(as_of):
        since = _LONG_AGO if target.at_risk_days == EVER else moment - target.at_risk_days * DAY
        known = events.between(since, moment, received_before=moment)
        rows = as_of == moment
        asked[rows] = _any_of(events.owner[known], len(log))[customers[rows]]
    return asked


_LONG_AGO: Final = -(2**62)
_NOT_YET: Final = 2**62
_SUBSCRIPTION: Final = FeatureSet(
    tuple(each for each in FEATURES.features if each.name in SUBSCRIPTION_FEATURES)
)


def _runs(log: SignalLog, customers: Int64Array, as_of: Int64Array) -> NDArray[np.bool_]:
    rows = feature_matrix(_SUBSCRIPTION, log, customers, as_of)
    places = [_SUBSCRIPTION.names.index(name) for name in SUBSCRIPTION_FEATURES]
    return np.asarray(subscription_runs(*rows[:, places].T))


def _heard_at_once(log: SignalLog, data_end: int) -> SignalLog:
    """The log as if all that was received before `data_end` had been as it occurred."""
    columns = log.columns
    heard = columns.received_at < data_end
    received = np.where(heard, np.minimum(columns.occurred_at, columns.received_at), _NOT_YET)
    return replace(log, columns=replace(columns, received_at=received))


def _happened(
    log: SignalLog, customers: Int64Array, as_of: Int64Array, target: Target, data_end: int
) -> NDArray[np.bool_]:
    """Whether one of the target's events fell into each label window."""
    seen = np.zeros(len(customers), dtype=bool)
    events = _owned(log, target.event)
    for moment in np.unique(as_of):
        end = moment + target.window_days * DAY
        inside = events.between(moment, end, received_before=data_end)
        rows = as_of == moment
        seen[rows] = _any_of(events.owner[inside], len(log))[customers[rows]]
    return seen


def takings_after(
    log: SignalLog, customers: Int64Array, as_of: Int64Array, horizon_days: int, data_end: int
) -> FloatArray:
    """Orders less refunds in ``[as_of, as_of + horizon_days)``, in currency units.

    Amounts are what was paid, so discounts are already out of them.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN where the horizon was not over at `data_end`.
    """
    takings = np.full(len(customers), np.nan)
    complete = as_of + horizon_days * DAY <= data_end
    orders, refunds = _owned(log, (ORDER,)), _owned(log, (REFUND,))
    for moment in np.unique(as_of[complete]):
        rows = complete & (as_of == moment)
        end = moment + horizon_days * DAY
        total = np.zeros(len(log))
        for sign, events in ((1, orders), (-1, refunds)):
            inside = events.between(moment, end, received_before=data_end)
            inside &= events.amount != ABSENT
            total += sign * np.bincount(
                events.owner[inside], weights=events.amount[inside], minlength=len(log)
            )
        takings[rows] = total[customers[rows]] / MINOR_UNITS
    return takings


@dataclass(frozen=True, slots=True)
class _Owned:
    """All signals of some events, each of shape (n_events,); `owner` is a customer's index."""

    owner: Int64Array
    occurred_at: Int64Array
    received_at: Int64Array
    amount: Int64Array

    def between(self, start: int, end: int, received_before: int) -> NDArray[np.bool_]:
        occurred = (self.occurred_at >= start) & (self.occurred_at < end)
        return np.asarray(occurred & (self.received_at < received_before))


def _owned(log: SignalLog, events: tuple[str, ...]) -> _Owned:
    # A keyed event, such as Survey Answered/nps, is not looked for here: targets name events.
    here = np.flatnonzero(np.isin(log.columns.event, [code(event) for event in events]))
    owner = np.searchsorted(log.starts, here, side="right") - 1
    columns = log.columns
    return _Owned(
        owner.astype(np.int64),
        columns.occurred_at[here],
        columns.received_at[here],
        columns.amount[here],
    )


def _any_of(owners: Int64Array, n_customers: int) -> NDArray[np.bool_]:
    seen = np.zeros(n_customers, dtype=bool)
    seen[owners] = True
    return seen
