"""Recommendation surveys: who was asked, who answered, and what."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import (
    ABSENT,
    DAY,
    THOUSANDTHS,
    Int64Array,
    SignalLog,
    code,
)
from models.targets import RECOMMENDATION, Target

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SENT: Final = "Survey Sent/nps"
SILENT: Final = -1.0
# Source: Reichheld (2003): 9 and 10 promote, 0 to 6 detract, of the scale from 0 to 10.
LEAST_OF_PROMOTER: Final = 9.0
MOST_OF_DETRACTOR: Final = 6.0


@dataclass(frozen=True, slots=True)
class Surveys:
    """One row a survey whose time to answer is over, by customer and time; shape (n,).

    Attributes
    ----------
    customers : ndarray of int64
        Index into the log; visitors are left out.
    as_of : ndarray of int64
        When the survey was sent or, where no sending is on record, when it was answered: what
        is known of the customer up to then cannot hold the answer.
    scores : ndarray of float64
        0 to 10, the first answer; `SILENT` where none came in time.
    asked : ndarray of bool
        Whether the sending is on record.
    open : int
        Surveys left out, since an answer may still come.
    """

    customers: Int64Array
    as_of: Int64Array
    scores: FloatArray
    asked: BoolArray
    open: int

    @property
    def answered(self) -> BoolArray:
        """Whose survey was answered, shape (n,)."""
        return np.asarray(self.scores != SILENT)

    def __len__(self) -> int:
        return len(self.customers)

    def at(self, where: BoolArray) -> "Surveys":
        """Some of them."""
        return Surveys(
            self.customers[where],
            self.as_of[where],
            self.scores[where],
            self.asked[where],
            self.open,
        )


def surveys(log: SignalLog, target: Target, end: int) -> Surveys:
    """All recommendation surveys known before `end` and no longer open.

    An answer belongs to the last survey sent to that customer within the target's window
    before it.

    Parameters
    ----------
    end : int
        Signals that occurred or were received then or later do not exist.
    """
    columns, window = log.columns, target.window_days * DAY
    known = (columns.occurred_at < end) & (columns.received_at < end)
    owner = log.owners()
    known &= log.identified()[owner]
    sent = np.flatnonzero(known & (columns.event == code(SENT)))
    told = np.flatnonzero(
        known & (columns.event == code(RECOMMENDATION)) & (columns.value != ABSENT)
    )
    # The log is sorted by customer and time, so the last survey before an answer is the one
    # that stands before it in the log.
    before = np.searchsorted(sent, told) - 1
    matched = before >= 0
    last = sent[before[matched]]
    in_time = columns.occurred_at[told[matched]] < columns.occurred_at[last] + window
    matched[matched] = (owner[last] == owner[told[matched]]) & in_time
    scores = np.full(len(sent), SILENT)
    value = columns.value[told] / THOUSANDTHS
    # Written from the last answer to the first, so that the first stands.
    scores[before[matched][::-1]] = value[matched][::-1]
    places = np.concatenate([sent, told[~matched]])
    order = np.argsort(places, kind="stable")
    found = Surveys(
        customers=owner[places][order],
        as_of=columns.occurred_at[places][order],
        scores=np.concatenate([scores, value[~matched]])[order],
        asked=np.repeat([True, False], [len(sent), len(told) - int(matched.sum())])[order],
        open=0,
    )
    # An early answer alone would count the quick ones only: all of an open survey waits.
    closed = ~found.asked | (found.as_of + window <= end)
    complete = found.at(closed)
    return Surveys(
        complete.customers,
        complete.as_of,
        complete.scores,
        complete.asked,
        open=int(np.sum(~closed)),
    )


def promoters(scores: FloatArray) -> BoolArray:
    """Who says 9 or 10, shape (n,)."""
    return np.asarray(scores >= LEAST_OF_PROMOTER)


def net_promoter_score(scores: FloatArray, weights: FloatArray | None = None) -> float:
    """Percentage of promoters less that of detractors, -100 to 100.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,), n > 0
        Answers from 0 to 10.
    weights : ndarray of float64, shape (n,), optional
    """
    signs = promoters(scores) * 1.0 - (scores <= MOST_OF_DETRACTOR)
    return 100.0 * float(np.average(signs, weights=weights))
