"""What a decision brought: money and goodbyes within the horizon that follows it.

Signals count by `received_at`: what was not known at the end does not exist. A horizon that is
not over is censored (NaN), never 0: a late purchase must not read as none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.intake.checks import SURVEY_KINDS
from features.signals import (
    ABSENT,
    CHANNELS,
    DAY,
    KEYED_BY,
    MINOR_UNITS,
    Int64Array,
    SignalLog,
    code,
    event_key,
)
from models.targets import ORDER
from serving.policy import Policy
from training.labels import REFUND

FloatArray = NDArray[np.float64]

# Words that join an event's name; see `features.signals.KEYED_BY`.
KEYED_WORDS: Final[Mapping[str, tuple[str, ...]]] = {"kind": SURVEY_KINDS, "channel": CHANNELS}
# Whoever says one of these does not want to hear from us again. Marking a mail as spam is the
# complaint that every sender is told of.
OPT_OUTS: Final = (
    "Unsubscribed",
    "Consent Withdrawn",
    "Objection Raised",
    "Email Marked as Spam",
)


def rewards_after(
    log: SignalLog, customers: Int64Array, decided_at: Int64Array, policy: Policy, end: int
) -> FloatArray:
    """Margin of what each customer did in ``[decided_at, decided_at + horizon)``.

    ``margin_rate * (orders - refunds) - discounts - opt_out_cost * (opted out)``, and what the
    policy says that other events are worth (`outcome_values`), each as often as it happened.
    Orders count as paid, so a discount of d on a price of p leaves ``margin_rate * (p - d) - d``.
    Several goodbyes are one. The cost of the contact is not included: it belongs to the decision.

    Parameters
    ----------
    log : SignalLog
    customers : ndarray of int64, shape (n,)
        Positions in ``log.customer_ids``.
    decided_at : ndarray of int64, shape (n,)
        Microseconds UTC.
    end : int
        Signals that were received then or later do not exist.

    Returns
    -------
    ndarray of float64, shape (n,)
        Currency units; NaN where the horizon was not over at `end`.
    """
    asked = _Asked(customers, decided_at, policy.horizon_days * DAY, end)
    orders = _known(log, (ORDER,), end)
    refunds = _known(log, (REFUND,), end)
    paid = asked.total(orders, orders.amount) - asked.total(refunds, refunds.amount)
    discounts = asked.total(orders, orders.value)
    money = (policy.margin_rate * paid - discounts) / MINOR_UNITS
    for event, value in policy.outcome_values.items():
        happened = _known(log, (event, *_keyed(event)), end)
        money += value * asked.total(happened, np.ones(len(happened.owner), dtype=np.int64))
    money -= policy.opt_out_cost * opt_outs_after(
        log, customers, decided_at, policy.horizon_days, end
    )
    return np.where(asked.over, money, np.nan)


def opt_outs_after(
    log: SignalLog, customers: Int64Array, decided_at: Int64Array, horizon_days: int, end: int
) -> FloatArray:
    """Whether each customer said goodbye in the horizon; 1, 0, or NaN where it is not over.

    See `rewards_after` for the parameters, and `OPT_OUTS` for what counts.
    """
    asked = _Asked(customers, decided_at, horizon_days * DAY, end)
    said = _known(log, OPT_OUTS, end)
    goodbyes = asked.total(said, np.ones(len(said.owner), dtype=np.int64))
    return np.where(asked.over, np.minimum(goodbyes, 1.0), np.nan)


@dataclass(frozen=True, slots=True)
class _Known:
    """Signals of some events, by owner and time; each of shape (n_signals,)."""

    owner: Int64Array
    occurred_at: Int64Array
    amount: Int64Array
    value: Int64Array


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose horizons are looked at."""

    customers: Int64Array
    decided_at: Int64Array
    horizon: int
    end: int

    @property
    def over(self) -> NDArray[np.bool_]:
        return np.asarray(self.decided_at + self.horizon <= self.end)

    def total(self, known: _Known, numbers: Int64Array) -> FloatArray:
        """Sum of the numbers of each one's signals within the horizon; absent ones are 0."""
        times = np.unique(known.occurred_at)
        # Owner and rank of the time make one key that rises along the log.
        width = len(times) + 1
        keys = known.owner * width + np.searchsorted(times, known.occurred_at)
        up_to = np.concatenate([[0], np.cumsum(np.where(numbers == ABSENT, 0, numbers))])
        bounds = [
            up_to[np.searchsorted(keys, self.customers * width + np.searchsorted(times, moment))]
            for moment in (self.decided_at, self.decided_at + self.horizon)
        ]
        return np.asarray(bounds[1] - bounds[0], dtype=np.float64)


def _keyed(event: str) -> tuple[str, ...]:
    """The names under which an event stands in the log if a word of it joins its name."""
    words = KEYED_WORDS.get(KEYED_BY.get(event, ""), ())
    return tuple(event_key(event, word) for word in words)


def _known(log: SignalLog, events: Iterable[str], end: int) -> _Known:
    columns = log.columns
    wanted = np.array([code(event) for event in events], dtype=np.int64)
    here = np.flatnonzero(np.isin(columns.event, wanted) & (columns.received_at < end))
    owner = np.searchsorted(log.starts, here, side="right") - 1
    return _Known(
        owner.astype(np.int64), columns.occurred_at[here], columns.amount[here], columns.value[here]
    )
