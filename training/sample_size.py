"""How many customers, or days, until a difference of means can be told from chance."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from scipy.special import ndtri

ALPHA: Final = 0.05  # how often nothing is taken for something, both sides together
POWER: Final = 0.80  # how often the difference, if it is there, is found
MOST: Final = 1e12  # customers; more than ever lived, so surely a slip in the difference
FEWEST: Final = 2  # one in each group


class UnusablePlan(ValueError):
    """Numbers that no sample size follows from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A comparison that is to be made.

    Attributes
    ----------
    difference : float
        The smallest that is worth finding.
    spread : float
        Standard deviation of the outcome from customer to customer.
    share : float
        Of customers in the smaller group, such as the holdout.

    Raises
    ------
    UnusablePlan
        If a number is out of its range.
    """

    difference: float
    spread: float
    share: float
    alpha: float = ALPHA
    power: float = POWER

    def __post_init__(self) -> None:
        for name, value, most in (
            ("difference", abs(self.difference), float("inf")),
            ("spread", self.spread, float("inf")),
            ("share", self.share, 1.0),
            ("alpha", self.alpha, 1.0),
            ("power", self.power, 1.0),
        ):
            if not 0 < value < most:
                raise UnusablePlan(
                    f"{name} {value:g}; must be above 0 and below {most:g}; correct it"
                )

        if self.power <= self.alpha:
            raise UnusablePlan(
                f"power {self.power:g}; must be above alpha {self.alpha:g}, which chance alone "
                "reaches; correct one of them"
            )

    def customers(self) -> int:
        """Customers of both groups together that the comparison needs.

        ``N = (z_(1 - alpha/2) + z_power)^2 * spread^2 * (1/share + 1/(1 - share)) / difference^2``
        Source: Friedman et al., Fundamentals of Clinical Trials (2015), chapter 8, for groups
        of unlike size.

        Raises
        ------
        UnusablePlan
            If so many cannot be.
        """
        reach = float(ndtri(1 - self.alpha / 2) + ndtri(self.power))
        groups = 1 / self.share + 1 / (1 - self.share)
        noise = self.spread / abs(self.difference)
        needed = reach * reach * groups * noise * noise  # a power would overflow with an error
        if needed > MOST:
            raise UnusablePlan(
                f"difference {self.difference:g}, where customers spread by {self.spread:g} and "
                f"the smaller group has a share of {self.share:g}: more than {MOST:.0e} customers "
                "would be needed; look for a larger difference"
            )
        return max(FEWEST, ceil(needed))


def days_needed(plan: Plan, customers: int, days: float) -> int:
    """Days until so many customers have told the difference.

    What a customer brings in t days has a mean that grows with t and a variance that grows with
    t, so the customers needed fall as 1 / t.

    Parameters
    ----------
    plan : Plan
        Of outcomes over `days` days.
    customers : int
        Of both groups, the same ones all the time.

    Raises
    ------
    UnusablePlan
        If there are none.
    """
    if customers < 1:
        raise UnusablePlan("0 customers; there must be some; take in signals first")
    return ceil(days * plan.customers() / customers)
