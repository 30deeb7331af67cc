"""Who is contacted how often under a policy: rates, and ratios of rates between groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.decision_log import LoggedDecisions
from training.gates import Gate
from training.policy_value import TooFewCustomers, clustered_mean

FloatArray = NDArray[np.float64]

# The four-fifths rule: a group that is reached less than so much as often as the others.
# Source: Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D (1978).
FOUR_FIFTHS: Final = 0.8


@dataclass(frozen=True, slots=True)
class GroupRate:
    """How often one group is contacted, against all others.

    Attributes
    ----------
    new, current : float
        Contacts a decision under either policy.
    ratio, low, high : float or None
        Rate in the group / rate of the others under the new policy, and its 95 % interval;
        None where there is nothing to divide by, or one customer alone.
    """

    group: str
    decisions: int
    new: float
    current: float
    ratio: float | None
    low: float | None
    high: float | None


def group_rates(
    log: LoggedDecisions, groups: NDArray[np.str_], new: FloatArray, current: FloatArray
) -> Iterator[GroupRate]:
    """Contact rates of each group, and how they compare with those of all others.

    Parameters
    ----------
    groups : ndarray of str, shape (n,)
        Group of each decision's customer.
    new, current : ndarray of float64, shape (n,)
        Probability of a contact in each row.
    """
    for group in np.unique(groups):
        inside = groups == group
        ratio = rate_ratio(log, inside, new)
        yield GroupRate(
            str(group),
            int(inside.sum()),
            float(new[inside].mean()),
            float(current[inside].mean()),
            *(ratio or (None, None, None)),
        )


def rate_ratio(
    log: LoggedDecisions, inside: NDArray[np.bool_], contacts: FloatArray
) -> tuple[float, float, float] | None:
    """Rate of some rows / rate of the others, with its 95 % interval; None if it has none.

    On the logarithm, by linearising (delta method), customers being the units that vary.
    """
    share = float(inside.mean())
    if not 0 < share < 1:
        return None
    rate, others = float(contacts[inside].mean()), float(contacts[~inside].mean())
    if rate <= 0 or others <= 0:
        return None
    pull = np.where(
        inside,
        (contacts - rate) / (rate * share),
        -(contacts - others) / (others * (1 - share)),
    )
    try:
        low, high = clustered_mean(pull, log.customer).interval()
    except TooFewCustomers:
        return None
    ratio = rate / others
    return ratio, float(ratio * np.exp(low)), float(ratio * np.exp(high))


def fairness_gate(groups: tuple[GroupRate, ...]) -> Gate:
    """Whether no group is surely reached less than four fifths as often as the others."""
    short = [
        f"{one.group} {one.ratio:.2f} ({one.low:.2f} to {one.high:.2f})"
        for one in groups
        if one.ratio is not None
        and one.low is not None
        and one.high is not None
        and one.high < FOUR_FIFTHS
    ]
    asked = f"less than {FOUR_FIFTHS:g} times as often as the others"
    says = (
        f"surely contacted {asked}: {', '.join(short)}"
        if short
        else f"no group is surely contacted {asked}"
    )
    return Gate("groups", not short, says)
