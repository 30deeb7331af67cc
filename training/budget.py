"""One budget and limited places for a whole batch: the prices at which demand fits supply.

For every customer the best of ``net - price x use`` is taken. Use falls as a price rises, so
each price is found by bisection, in turns until none has to rise any more.
Source: Lagrangian relaxation of the multiple-choice knapsack problem (Kellerer, Pferschy and
Pisinger 2004, section 11.2); the gap to the optimum is at most one customer's gain per limit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array
from serving.arbitration import comes_first
from serving.policy import Policy
from serving.prices import Prices, factor, money_used
from serving.records import NO_CONTACT, Decision

FloatArray = NDArray[np.float64]

MONEY: Final = "money"
BISECTIONS: Final = 60  # halvings: beyond them nothing changes in a double
# The last customer is indifferent at the lowest price. A step above, no rounding brings them back.
STEP: Final = 1e-9
ROUNDING: Final = 1e-12
TURNS_BOTH_WAYS: Final = 8  # between prices that move each other; few are ever needed
MOST_TURNS: Final = 60


@dataclass(frozen=True, slots=True)
class Demand:
    """What customers would choose among, one row for each customer and candidate.

    Rows of a customer are neighbours, silence among them.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_customers,)
        First row of each customer.
    net : ndarray of float, shape (n_rows,)
        Expected net in currency units, before prices.
    owed : ndarray of bool, shape (n_rows,)
        Messages that come before all others while they are worth sending.
    sure : ndarray of float, shape (n_rows,)
        Probability of being chosen whatever is best: what exploration gives.
    free : ndarray of float, shape (n_rows,)
        Probability that goes to the best.
    factor : ndarray of float, shape (n_rows,)
        The customer's own part of a price; see `serving.prices.factor`.
    use : mapping of limit to ndarray of float, shape (n_rows,)
        What a choice takes of each limit.
    """

    starts: Int64Array
    net: FloatArray
    owed: NDArray[np.bool_]
    sure: FloatArray
    free: FloatArray
    factor: FloatArray
    use: Mapping[str, FloatArray]

    def best(self, prices: Mapping[str, float]) -> Int64Array:
        """Row that each customer would take at these prices; shape (n_customers,)."""
        paid = np.zeros_like(self.net)
        for limit, price in prices.items():
            paid += price * self.use[limit]
        worth = self.net - paid * self.factor
        # Owed messages come first while they are worth sending, and only then.
        worth = np.where(self.owed & (worth > 0), worth + _FIRST, worth)
        top = np.maximum.reduceat(worth, self.starts)
        owner = np.repeat(np.arange(len(self.starts)), np.diff([*self.starts, len(worth)]))
        rows = np.flatnonzero(worth == top[owner])
        _, first = np.unique(owner[rows], return_index=True)
        return rows[first]

    def tried(self, limit: str) -> float:
        """What exploration uses of a limit, whatever the prices."""
        return float(self.sure @ self.use[limit])

    def expected_use(self, limit: str, prices: Mapping[str, float]) -> float:
        """What is used of a limit at these prices, on average over the draws."""
        use, best = self.use[limit], self.best(prices)
        return self.tried(limit) + float(self.free[best] @ use[best])


_FIRST: Final = 1e12  # more than any message is worth


def demand_of(decisions: Iterable[Decision], limits: Mapping[str, float], policy: Policy) -> Demand:
    """What customers would choose among, read from decisions made at no price.

    Parameters
    ----------
    decisions : iterable of Decision
        Without prices; nothing of them need be logged.
    limits : mapping of limit to amount
        `MONEY`, and names of communications.
    """
    starts, rows = [], list[tuple[float, bool, float, float, float]]()
    use: dict[str, list[float]] = {limit: [] for limit in limits}
    for decision in decisions:
        starts.append(len(rows))
        floor, rest = _explored(decision)
        own = factor(decision.customer_id, policy)
        best = decision.ranked[0]
        for candidate in decision.ranked:
            # What was ranked lower although its net is higher was not trusted to be better.
            net = min(candidate.expected_net, best.expected_net)
            if comes_first(best) and not comes_first(candidate):
                net = candidate.expected_net
            silent = candidate.communication == NO_CONTACT
            rows.append((net, comes_first(candidate), 0.0 if silent else floor, rest, own))
            for limit, taken in use.items():
                if limit == MONEY:
                    taken.append(money_used(candidate.message_class, candidate.cost))
                else:
                    taken.append(float(candidate.communication == limit))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    return Demand(
        starts=np.array(starts, dtype=np.int64),
        net=columns[0],
        owed=columns[1].astype(bool),
        sure=columns[2],
        free=columns[3],
        factor=columns[4],
        use={limit: np.array(taken) for limit, taken in use.items()},
    )


def _explored(decision: Decision) -> tuple[float, float]:
    """Probability that each candidate has anyway, and what is left for the best."""
    given = decision.probabilities
    best = decision.ranked[0].communication
    others = [given[each.communication] for each in decision.ranked[1:]]
    if not others:
        return 0.0, given[best]
    floor = min(others)
    # The holdout gives the best nothing, unless it is owed.
    return floor, max(0.0, given[best] - floor)


def market_prices(demand: Demand, limits: Mapping[str, float]) -> Prices:
    """Lowest prices at which the expected use of every limit is within it.

    Where exploration alone uses up a limit no price helps (see `tried_beyond`): the lowest at
    which nobody takes it for its worth is taken then, and the limit itself stops the rest.
    """
    limits = {limit: max(most, demand.tried(limit)) for limit, most in limits.items()}
    prices = dict.fromkeys(limits, 0.0)
    for turn in range(MOST_TURNS):
        for limit, most in limits.items():
            # Prices may chase each other. After a while they only rise, in ever greater steps.
            rising = turn >= TURNS_BOTH_WAYS
            floor = prices[limit] if rising else 0.0
            found = _cleared(demand, limit, most, (prices, floor))
            step = STEP * 2.0 ** (turn - TURNS_BOTH_WAYS) if rising and found > floor else STEP
            prices[limit] = found * (1 + step)
        fit = all(_fits(demand, limit, most, prices) for limit, most in limits.items())
        if fit and (turn >= TURNS_BOTH_WAYS or len(limits) == 1 or not any(prices.values())):
            break
    return Prices(
        money=prices.pop(MONEY, 0.0),
        places={name: price for name, price in prices.items() if price > 0},
    )


def tried_beyond(demand: Demand, limits: Mapping[str, float]) -> dict[str, float]:
    """Limits that exploration alone would exceed, with what it would use of each.

    Chance then shares them out, to whoever draws them first.
    """
    tried = {limit: demand.tried(limit) for limit in limits}
    return {limit: tried[limit] for limit, most in limits.items() if tried[limit] > most}


def _cleared(
    demand: Demand, limit: str, most: float, given: tuple[Mapping[str, float], float]
) -> float:
    """Lowest price of one limit, from a floor on, the prices of the others held."""
    prices, low = given

    def fits(price: float) -> bool:
        return _fits(demand, limit, most, {**prices, limit: price})

    if fits(low):
        return low
    used = demand.use[limit] > 0
    highest = float(np.max(demand.net[used] / demand.use[limit][used], initial=0.0))
    high = max(low, highest) + 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _fits(demand: Demand, limit: str, most: float, prices: Mapping[str, float]) -> bool:
    return demand.expected_use(limit, prices) <= most + ROUNDING * (1 + most)
