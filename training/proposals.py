"""Targets proposed from the customers' own habits: what kind of company this is, which windows."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.groups.event_sets import activity
from features.signals import ABSENT, DAY, Int64Array, SignalLog, code
from models.proposed_targets import ACTIVITY, CONTRACT, SHOP, Windows
from models.targets import (
    CHURN,
    LEAVING_EVENTS,
    ORDER,
    REPURCHASE,
    SUBSCRIPTION_EVENTS,
    Targets,
)

# Two gaps, three days: with one gap alone, a customer's habit and chance look the same.
LEAST_GAPS: Final = 2
# Below so many customers with a habit, percentiles of it are chance.
LEAST_HABITS: Final = 20
# Snapshots, a gap and a test must fit beside the window: at most a fifth of the history.
LONGEST_SHARE: Final = 5
_WEEK: Final = 7
# Of subscriptions without a term: as long as the month that most of them are paid by.
_MONTH: Final = 28 * DAY
# Where at least this part of the customers subscribe, what they buy beside it is not the business.
_MOST_SUBSCRIBE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Proposal:
    """Windows for a `targets.toml`, or why there are none.

    Attributes
    ----------
    kind : str
        See `models.proposed_targets.Windows`.
    windows : Windows or None
        None: too few come back to tell.
    habits : int
        Customers whose gaps, terms, or cancellations speak for the windows.
    open_ended : bool
        Whether it is of subscriptions that run until they are cancelled.
    """

    kind: str
    windows: Windows | None
    habits: int
    open_ended: bool = False

    def lines(self, targets: Targets) -> tuple[str, ...]:
        """The proposal in words, beside what `targets.toml` says now."""
        windows = self.windows
        if windows is None and self.open_ended:
            return (
                f"Most customers subscribe, but of fewer than {LEAST_HABITS} subscriptions an end "
                f"is on record: {self.habits:,} were cancelled, and none of the others says in "
                "ends_at when its term is over. Bring in one of the two, and windows can be "
                "proposed. The windows of targets.toml stay.",
            )
        if windows is None:
            done = "ordered" if self.kind == SHOP else "been active"
            return (
                f"Only {self.habits:,} customers have {done} on three days or more; it takes "
                f"{LEAST_HABITS} to propose windows from their gaps. The windows of targets.toml "
                "stay.",
            )
        churn, again = targets[CHURN], targets[REPURCHASE]
        now = Windows(churn.window_days, churn.at_risk_days, again.window_days, _kind_of(targets))
        told = (_OPEN_ENDED if self.open_ended else _PROPOSED[self.kind]).format(
            habits=self.habits,
            churn=windows.churn_days,
            at_risk=windows.at_risk_days,
            again=windows.repurchase_days,
        )
        if now.kind != self.kind:
            return (
                f"{told} targets.toml asks what suits {_NAMED[now.kind]}: "
                "`nextbest doctor --apply` writes these in its place.",
            )
        proposed, stated = _days(windows), _days(now)
        if proposed == stated:
            return (f"{told} targets.toml says the same.",)
        *first, last = stated
        listed = f"{', '.join(map(str, first))} and {last}"
        return (f"{told} targets.toml says {listed}; change it there if you agree.",)


def _days(windows: Windows) -> tuple[int, ...]:
    """The lengths that matter, in the order in which they are told."""
    if windows.kind == CONTRACT:
        return windows.churn_days, windows.repurchase_days
    return windows.churn_days, windows.at_risk_days, windows.repurchase_days


_PROPOSED: Final = {
    SHOP: "Windows proposed from the usual gaps of {habits:,} returning customers: churn "
    "{churn} days, at risk {at_risk}, repurchase {again}.",
    CONTRACT: "Most customers subscribe. Windows proposed from the terms of {habits:,} "
    "subscriptions: end of the subscription within {churn} days, renewal within {again}.",
    ACTIVITY: "Hardly anybody buys. Windows proposed from the usual gaps between the active days "
    "of {habits:,} customers: staying away {churn} days, at risk {at_risk}, coming back {again}.",
}
_OPEN_ENDED: Final = (
    "Most customers subscribe, without a term; {habits:,} have cancelled. Windows proposed: "
    "cancelled within {churn} days, renewed within {again}."
)
_NAMED: Final = {
    SHOP: "a shop",
    CONTRACT: "subscriptions",
    ACTIVITY: "visitors who neither buy nor subscribe",
}


def proposal(log: SignalLog, end: int) -> Proposal:
    """What to predict here, read from what customers do.

    Parameters
    ----------
    end : int
        End of the data, microseconds UTC.
    """
    first = int(log.columns.occurred_at.min()) if len(log.columns) else end
    days = (end - first) // DAY
    subscribers, people = _with_any(log, SUBSCRIPTION_EVENTS)
    terms = subscription_terms(log)
    if len(terms) >= LEAST_HABITS and subscribers >= _MOST_SUBSCRIBE * people:
        return Proposal(CONTRACT, contract_windows(terms, days), len(terms))
    orders = usual_gaps(log, (ORDER,))
    active = usual_gaps(log, activity.events)
    if len(orders) < LEAST_HABITS and 0 < people <= subscribers / _MOST_SUBSCRIBE:
        left, _ = _with_any(log, LEAVING_EVENTS)
        if left >= LEAST_HABITS:
            monthly = contract_windows(np.array([_MONTH]), days)
            return Proposal(CONTRACT, monthly, left, open_ended=True)
        if len(active) < LEAST_HABITS:
            return Proposal(CONTRACT, None, left, open_ended=True)
    if len(orders) < LEAST_HABITS <= len(active):
        return Proposal(ACTIVITY, proposed_windows(active, days, ACTIVITY), len(active))
    return Proposal(SHOP, proposed_windows(orders, days), len(orders))


def usual_gaps(log: SignalLog, events: tuple[str, ...]) -> Int64Array:
    """Each returning customer's mean gap between days with an event, in microseconds.

    Only identified customers with at least three such days; several events of one day count
    as one, since a forgotten item is not a habit.
    """
    owner = log.owners()
    rows = np.isin(log.columns.event, [code(event) for event in events]) & log.identified()[owner]
    days = np.unique(np.stack([owner[rows], log.columns.occurred_at[rows] // DAY]), axis=1)
    if not days.size:
        return np.empty(0, dtype=np.int64)
    _, starts, counts = np.unique(days[0], return_index=True, return_counts=True)
    first, last = days[1][starts], days[1][starts + counts - 1]
    back = counts > LEAST_GAPS
    return np.asarray((last - first)[back] * DAY // (counts[back] - 1), dtype=np.int64)


def subscription_terms(log: SignalLog) -> Int64Array:
    """Length of every subscription's term that has an end, in microseconds."""
    columns = log.columns
    rows = np.isin(columns.event, [code(event) for event in SUBSCRIPTION_EVENTS])
    rows &= (columns.value != ABSENT) & log.identified()[log.owners()]
    terms = columns.value[rows] - columns.occurred_at[rows]
    return np.asarray(terms[terms > 0], dtype=np.int64)


def proposed_windows(gaps: Int64Array, days: int, kind: str = SHOP) -> Windows | None:
    """Label windows from the customers' usual gaps.

    Churn: the 90th percentile in whole weeks, since nine in ten would have come back by then;
    at risk: twice that; repurchase: the median in whole weeks, shorter than the churn window.

    Parameters
    ----------
    gaps : ndarray of int64, shape (n_customers,)
        See `usual_gaps`.
    days : int
        Length of the history, which bounds the windows.
    """
    if len(gaps) < LEAST_HABITS:
        return None
    weeks = np.quantile(gaps, (0.9, 0.5)) / (_WEEK * DAY)
    churn = int(np.clip(round(float(weeks[0])), 2, _longest_weeks(days)))
    repurchase = int(np.clip(round(float(weeks[1])), 1, churn - 1))
    return Windows(churn * _WEEK, 2 * churn * _WEEK, repurchase * _WEEK, kind)


def contract_windows(terms: Int64Array, days: int) -> Windows:
    """Label windows from the terms of subscriptions, shape (n,), microseconds.

    Churn: the median term, in whole weeks and not less, so that most subscriptions come up for
    renewal once in it; renewal: half of that.
    """
    weeks = float(np.median(terms)) / (_WEEK * DAY)
    churn = int(np.clip(np.ceil(weeks), 2, _longest_weeks(days)))
    return Windows(churn * _WEEK, 2 * churn * _WEEK, max(1, churn // 2) * _WEEK, CONTRACT)


def _longest_weeks(days: int) -> int:
    return max(2, days // LONGEST_SHARE // _WEEK)


def _kind_of(targets: Targets) -> str:
    churn = targets[CHURN]
    if churn.of_subscribers:
        return CONTRACT
    return SHOP if churn.at_risk == (ORDER,) else ACTIVITY


def _with_any(log: SignalLog, events: tuple[str, ...]) -> tuple[int, int]:
    """Identified customers with any of the events, and all of them."""
    people = log.identified()
    found = np.zeros(len(log), dtype=np.bool_)
    found[log.owners()[np.isin(log.columns.event, [code(event) for event in events])]] = True
    return int((found & people).sum()), int(people.sum())
