"""Prices of what is scarce in a batch: money, and places of what is limited.

A budget shared by all customers is a constraint that no single decision can see. Its Lagrange
multiplier is a price, and with the price known every customer is decided alone again: each takes
what is worth most after paying it. So the probabilities that are logged stay exact, given the
price.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from serving.catalog import Communication
from serving.exploration import share_point
from serving.policy import Policy
from serving.records import Candidate

# Customers who are worth the same would all buy at one price, or none of them. A thousandth of
# the price, by salted hash, tells them apart; it costs at most that share of what is gained.
SPREAD: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Prices:
    """What a unit of each scarce thing costs beyond what is paid for it.

    Attributes
    ----------
    money : float
        Per unit of currency that marketing costs.
    places : mapping of communication to float
        Per place, in currency units.
    """

    money: float = 0.0
    places: Mapping[str, float] = field(default_factory=dict)

    def of(self, entry: Communication, customer_id: str, policy: Policy) -> float:
        """What a communication pays for scarce things, in currency units."""
        asked = self.places.get(entry.name, 0.0)
        asked += self.money * money_used(entry.message_class, entry.cost)
        return asked * factor(customer_id, policy) if asked else 0.0


FREE: Final = Prices()


def money_used(message_class: str, cost: float) -> float:
    """What a message takes from the budget: it is one for marketing, and nothing owed waits."""
    return cost if message_class == "marketing" else 0.0


def factor(customer_id: str, policy: Policy) -> float:
    """By how much a customer's price differs from the common one, from 1 up to 1 + `SPREAD`."""
    return 1 + SPREAD * share_point(policy.salt, "price", customer_id)


def priced(entries: Iterable[Communication], paid: Mapping[str, float]) -> list[Communication]:
    """The entries as if their prices were part of their cost, so that ranking weighs both."""
    return [
        replace(entry, cost=entry.cost + paid[entry.name]) if paid[entry.name] else entry
        for entry in entries
    ]


def told_apart(candidates: Iterable[Candidate], paid: Mapping[str, float]) -> tuple[Candidate, ...]:
    """Candidates ranked under prices, with cost and price as two numbers again."""
    return tuple(
        replace(each, cost=each.cost - price, price=price)
        if (price := paid.get(each.communication, 0.0))
        else each
        for each in candidates
    )
