"""What the whole programme is worth: those who hear from us against those who never do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from features.counting import counted
from features.history import History
from features.home import Home
from features.signals import DAY, Int64Array, SignalLog
from serving.champion import company_engine
from serving.exploration import arm_of
from serving.policy import Policy
from serving.storage.store import Store
from training.dataset import data_end
from training.gates import Gate
from training.policy_value import Estimate
from training.rewards import rewards_after
from training.sample_size import Plan, days_needed

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FEWEST: Final = 30  # customers in the smaller group; with fewer an interval says nothing
# So unlikely a split means that something sorts customers other than the lot.
# Source: Fabijan et al. (2019), Diagnosing sample ratio mismatch, use .0005 to .01.
SURELY_UNEVEN: Final = 0.001


class NothingToCompare(LookupError):
    """There are no two groups yet whose margins could be compared."""


@dataclass(frozen=True, slots=True)
class Programme:
    """What was decided in the time that is looked at.

    Attributes
    ----------
    costs : mapping of customer to float
        Of contacts, currency units.
    arms : mapping of customer to set of str
        Arms under which decisions about the customer were logged.
    """

    costs: Mapping[str, float]
    arms: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class HoldoutReport:
    """Margins of both groups since the first decision, per customer in currency units.

    Attributes
    ----------
    days : int
        From the first logged decision to the end of the data.
    counts : (int, int)
        Customers of the holdout and of all others, known before the first decision.
    margins : (float, float)
        Mean of each, before the cost of contacts.
    cost : float
        Of contacts, per customer who may hear from us.
    gain : Estimate
        Margin that the programme adds per customer, costs paid, adjusted for the time before.
    plain : Estimate
        The same without adjustment.
    split : Gate
        Whether the groups are as large as the lot makes them.
    days_needed : int
        Days in which a difference of `detect` would be found in four of five cases.
    """

    currency: str
    days: int
    counts: tuple[int, int]
    margins: tuple[float, float]
    cost: float
    gain: Estimate
    plain: Estimate
    split: Gate
    detect: float
    days_needed: int

    @property
    def return_on_cost(self) -> float | None:
        """``(margin added - cost) / cost``; None where contacts cost nothing.

        What the programme adds is known from the holdout, never from who clicked last.
        """
        return self.gain.value / self.cost if self.cost > 0 else None

    def lines(self) -> list[str]:
        """In words, for people."""
        held, treated = self.counts
        low, high = self.gain.interval()
        saved = 1 - (self.gain.standard_error / self.plain.standard_error) ** 2
        return [
            f"{counted(self.days, 'day')} since the first decision; {counted(held, 'customer')} in "
            f"the holdout, {treated:,} others",
            f"margin a customer: {self.margins[1]:.2f} {self.currency} with the programme, "
            f"{self.margins[0]:.2f} without; contacts cost {self.cost:.2f}",
            f"the programme adds {self.gain.value:+.2f} a customer, costs paid ({low:+.2f} to "
            f"{high:+.2f}); what customers did before explains {100 * saved:.0f} % of the noise",
            *self._return_lines(low, high),
            f"a difference of {self.detect:.2f} can be judged after "
            f"{counted(self.days_needed, 'day')}",
            f"{'yes' if self.split.passed else 'NO '}  {self.split.name}: {self.split.says}",
        ]

    def _return_lines(self, low: float, high: float) -> list[str]:
        if self.return_on_cost is None:
            return []
        return [
            f"return on what contacts cost: {self.return_on_cost:+.0%} ({low / self.cost:+.0%} "
            f"to {high / self.cost:+.0%})"
        ]

    def record(self) -> dict[str, object]:
        """The same for programs."""
        low, high = self.gain.interval()
        return {
            "currency": self.currency,
            "days": self.days,
            "customers": {"holdout": self.counts[0], "others": self.counts[1]},
            "margin": {"holdout": self.margins[0], "others": self.margins[1]},
            "cost": self.cost,
            "gain": {"value": self.gain.value, "low": low, "high": high},
            "return_on_cost": self.return_on_cost,
            "gain_unadjusted": {
                "value": self.plain.value,
                "standard_error": self.plain.standard_error,
            },
            "split": {"passed": self.split.passed, "says": self.split.says},
            "detect": self.detect,
            "days_needed": self.days_needed,
        }


def holdout_report(home: Home, as_of: int, detect: float | None = None) -> HoldoutReport:
    """Compare the holdout of a home with everybody else, since the first logged decision.

    Parameters
    ----------
    detect : float or None
        Difference worth finding, currency units a customer; None: a tenth of the margin.

    Raises
    ------
    NothingToCompare
        If nothing was decided yet, or a group has fewer than 30 customers.
    """
    engine = company_engine(home)
    log = History(home.signals).load(received_before=as_of)
    end = data_end(log, as_of)
    with Store.open(home.store) as store:
        made = [one for one in store.past_decisions(as_of) if one.as_of < end]
        costs = store.costs_of_contacts(min(as_of, end))
    if not made:
        raise NothingToCompare(
            f"{home.path}: no decision before the end of the data; run `nextbest decide --all` or "
            "answer calls, and come back when signals have followed"
        )
    start = min(one.as_of for one in made)
    arms: dict[str, frozenset[str]] = {}
    for one in made:
        arms[one.customer_id] = arms.get(one.customer_id, frozenset()) | {one.arm}
    return compared(log, Programme(costs, arms), engine.policy, (start, end), detect)


def compared(
    log: SignalLog,
    programme: Programme,
    policy: Policy,
    period: tuple[int, int],
    detect: float | None = None,
) -> HoldoutReport:
    """The report for a period.

    Parameters
    ----------
    programme : Programme
    period : (int, int)
        First decision and end of the data, microseconds UTC.

    Raises
    ------
    NothingToCompare
        If a group has fewer than `FEWEST` customers who were known before the period.
    """
    start, end = period
    days = max(1, (end - start) // DAY)
    people = _known_before(log, start)
    held = np.array(
        [arm_of(log.customer_ids[one], policy, start).name == "holdout" for one in people],
        dtype=bool,
    )
    counts = int(held.sum()), int((~held).sum())
    if min(counts) < FEWEST:
        raise NothingToCompare(
            f"{counted(counts[0], 'customer')} in the holdout and {counts[1]} others; at least "
            f"{FEWEST} of each are needed; raise holdout_share, or wait for more customers"
        )
    window = replace(policy, horizon_days=days)
    moments = np.full(len(people), end - days * DAY)
    margin = rewards_after(log, people, moments, window, end)
    before = rewards_after(log, people, moments - days * DAY, window, end)
    cost = np.array([programme.costs.get(log.customer_ids[one], 0.0) for one in people])
    net = margin - cost
    plain, gain = difference(net, held), difference(adjusted(net, before), held)
    worth_finding = detect if detect is not None else 0.1 * abs(float(margin.mean())) or 1.0
    spread = gain.standard_error / np.sqrt(1 / counts[0] + 1 / counts[1])
    plan = Plan(worth_finding, max(float(spread), 1e-9), counts[0] / len(people))
    return HoldoutReport(
        currency=policy.currency,
        days=days,
        counts=counts,
        margins=(float(margin[held].mean()), float(margin[~held].mean())),
        cost=float(cost[~held].mean()),
        gain=gain,
        plain=plain,
        split=split_gate(programme.arms, policy.holdout_share),
        detect=worth_finding,
        days_needed=days_needed(plan, len(people), days),
    )


def difference(values: FloatArray, held: BoolArray) -> Estimate:
    """Mean of those who are not held out less that of those who are; error after Welch (1947)."""
    groups = values[~held], values[held]
    variance = sum(float(one.var(ddof=1)) / len(one) for one in groups)
    gap = float(groups[0].mean() - groups[1].mean())
    # Degrees of freedom are those of the smaller group: a little too careful.
    return Estimate(gap, float(np.sqrt(variance)), len(values), min(len(one) for one in groups))


def adjusted(values: FloatArray, before: FloatArray) -> FloatArray:
    """Values less what the time before foretells: ``y - theta * (x - mean x)``.

    ``theta = cov(y, x) / var(x)``. The lot made the groups alike beforehand, so this takes away
    noise and no effect. Source: Deng et al. (2013), CUPED.
    """
    spread = float(before.var())
    if spread == 0:
        return values
    theta = float(np.mean((values - values.mean()) * (before - before.mean()))) / spread
    return np.asarray(values - theta * (before - before.mean()))


def split_gate(arms: Mapping[str, frozenset[str]], share: float) -> Gate:
    """Whether as many customers were decided about in the holdout as its share says.

    The sample ratio check: chi-squared with one degree of freedom, on customers of whom
    decisions were logged. Whoever was logged in the holdout and outside it has changed sides.
    """
    people = len(arms)
    held = sum("holdout" in logged for logged in arms.values())
    both = sum("holdout" in logged and len(logged) > 1 for logged in arms.values())
    expected = share * people
    p = 1.0
    if 0 < expected < people:
        statistic = (held - expected) ** 2 / expected + (held - expected) ** 2 / (people - expected)
        p = float(chdtrc(1, statistic))
    people_held = counted(held, "customer")
    says = f"{people_held} decided about in the holdout, {expected:,.0f} expected (p = {p:.3g})"
    if p < SURELY_UNEVEN:
        says += (
            "; something other than the lot sorts customers: look for merged or erased ids; do not "
            "trust the comparison"
        )
    if both:
        says += (
            f"; {both:,} changed sides: salt or holdout_share was changed on the way; count from "
            "that day on"
        )
    return Gate("sample ratio", p >= SURELY_UNEVEN and not both, says)


def _known_before(log: SignalLog, start: int) -> Int64Array:
    """Identified customers of whom something was known before a moment, by place in the log."""
    columns = log.columns
    known = (columns.occurred_at < start) & (columns.received_at < start)
    people = np.unique(log.owners()[known])
    return people[log.identified()[people]]
