"""How much likelier each recent contact makes it that a message drives the customer away.

policy.toml states a price for each recent contact; here it is held against the opt-outs that
followed decisions drawn by lot. Nothing is applied: whoever owns the policy may change it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.effects import STATE
from serving.policy import Policy
from serving.records import ARMS
from training.decision_log import LoggedDecisions
from training.policy_value import clustered_mean

FloatArray = NDArray[np.float64]

RECENT_CONTACTS: Final = "recent_contacts"
HALF_LIFE_DAYS: Final = 7.0  # of that count; see `features.decay`
DRAWN: Final = ("uniform", "policy")
# A slope rests on those who opted out. With fewer, its interval is wider than any price.
FEWEST_OPT_OUTS: Final = 20


@dataclass(frozen=True, slots=True)
class FatigueRate:
    """What one more recent contact adds to the chance that a message ends in an opt-out.

    Attributes
    ----------
    slope, low, high : float
        Probability for each recent contact, and its 95 % interval; customers are the units.
    decisions, customers, opt_outs : int
        What it rests on.
    """

    slope: float
    low: float
    high: float
    decisions: int
    customers: int
    opt_outs: int


def fatigue_rate(
    logged: LoggedDecisions, opted_out: FloatArray, marketing: NDArray[np.bool_]
) -> FatigueRate | int:
    """The slope, from decisions in which chance alone decided whether marketing was sent.

    With T = 1 where it was sent, e its known probability and n the recent contacts, least squares
    of the opt-outs on ``1, n, e, T - e, (T - e) * n``. The last two are unrelated to anything that
    is known before the draw, so the first three need not be right: what is left of the last is
    by how much the harm of a message rises with n, whoever those with many contacts are.
    Source: Robinson (1988), with the propensity known; errors as in Cameron and Miller (2015).

    Parameters
    ----------
    opted_out : ndarray of float64, shape (n,)
        1, 0, or NaN while the horizon is not over.
    marketing : ndarray of bool, shape (n_names,)
        Which of the log's names are marketing.

    Returns
    -------
    FatigueRate or int
        How many opted out, where those are too few to say anything.
    """
    chance = logged.probabilities[:, marketing].sum(axis=1)
    drawn = np.isin(logged.arm, [ARMS.index(arm) for arm in DRAWN])
    rows = drawn & ~np.isnan(opted_out) & (chance > 0) & (chance < 1 - 1e-9)
    y, e = opted_out[rows], chance[rows]
    sent = marketing[logged.chosen[rows]].astype(np.float64)
    recent = logged.state[rows, STATE.index(RECENT_CONTACTS)]
    if y.sum() < FEWEST_OPT_OUTS:
        return int(y.sum())
    x = np.column_stack([np.ones(len(y)), recent, e, sent - e, (sent - e) * recent])
    inverse = np.linalg.pinv(x.T @ x / len(x))
    coefficients = inverse @ (x.T @ y) / len(x)
    pull = (x * (y - x @ coefficients)[:, np.newaxis]) @ inverse[-1]
    error = clustered_mean(pull, logged.customer[rows])
    low, high = error.interval()
    slope = float(coefficients[-1])
    return FatigueRate(
        slope, slope + low, slope + high, len(y), error.customers, round(float(y.sum()))
    )


def fatigue_note(found: FatigueRate | int, policy: Policy) -> str:
    """What was measured, in money, beside what the policy assumes."""
    fatigue, currency = policy.fatigue, policy.currency
    assumed = f"Fatigue: assumed {fatigue.price:.2f} {currency} for each recent contact"
    if isinstance(found, int):
        return (
            f"{assumed}; not measured yet: {found:,} opt-outs followed decisions drawn by lot, and "
            f"{FEWEST_OPT_OUTS} are needed."
        )
    slope, low, high = (policy.opt_out_cost * each for each in (found.slope, found.low, found.high))
    measured = f"measured {slope:.2f} ({low:.2f} to {high:.2f})"
    other = (
        ""
        if fatigue.half_life_days == HALF_LIFE_DAYS
        else f" The measure counts contacts with a half life of {HALF_LIFE_DAYS:g} days, the "
        f"policy with one of {fatigue.half_life_days:g}."
    )
    return (
        f"{assumed}; {measured} by opt-outs alone, at {policy.opt_out_cost:.2f} {currency} each: "
        f"{100 * found.slope:+.2f} percentage points a contact, from {found.decisions:,} decisions "
        f"drawn by lot about {found.customers:,} customers, {found.opt_outs:,} opt-outs. "
        f"policy.toml goes on as it is until you change it.{other}"
    )
