"""One order that outweighs a company: what is learned about money is then learned from it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.signals import ABSENT, MINOR_UNITS, SignalLog, code, date_of
from models.targets import ORDER

# A shop of 20 orders has orders of 5 % without anything being odd, a shop of 10,000 has orders of
# 20 times the mean. Both at once is a slip of the keyboard, a test, or a wholesaler.
LEAST_SHARE: Final = 0.05
LEAST_TIMES: Final = 20.0


@dataclass(frozen=True, slots=True)
class OutsizedOrder:
    """The largest order, where it alone decides what money looks like.

    Attributes
    ----------
    amount : float
        Currency units.
    share : float
        Of the amounts of all orders.
    times : float
        How many times the mean of all other orders.
    occurred_at : int
        Microseconds UTC.
    """

    amount: float
    share: float
    times: float
    occurred_at: int

    def words(self, currency: str = "") -> str:
        """What it is, what follows, and what to do."""
        amount = f"{self.amount:,.2f} {currency}".strip()
        return (
            f"One order is {self.share:.0%} of all money: {amount} on "
            f"{date_of(self.occurred_at)}, {self.times:,.0f} times the mean of the others. "
            "Expected margins, and all that is ranked by them, follow it; if it is a slip of the "
            "keyboard or a test, correct it in the file and ingest into a new home."
        )


def outsized_order(log: SignalLog) -> OutsizedOrder | None:
    """The largest order of identified customers, if it outweighs the others."""
    columns = log.columns
    paid = (
        (columns.event == code(ORDER)) & (columns.amount != ABSENT) & log.identified()[log.owners()]
    )
    amounts = np.where(paid, columns.amount, 0).astype(np.float64)
    if paid.sum() < 2:
        return None
    place = int(np.argmax(amounts))
    largest, whole = float(amounts[place]), float(amounts.sum())
    others = (whole - largest) / (int(paid.sum()) - 1)
    if others <= 0 or largest < LEAST_SHARE * whole or largest < LEAST_TIMES * others:
        return None
    at = int(columns.occurred_at[place])
    return OutsizedOrder(largest / MINOR_UNITS, largest / whole, largest / others, at)
