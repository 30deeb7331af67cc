"""The journey stage of a customer: ordered rules over features, the first match wins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STAGES: Final = (
    "visitor",
    "prospect",
    "onboarding",
    "active",
    "lapsing",
    "lapsed",
    "won_back",
    "ended",
)

_SUBSCRIPTION: Final = (
    "subscription_days_left",
    "days_since_subscription_started",
    "days_since_subscription_cancelled",
)


@dataclass(frozen=True, slots=True)
class Relation:
    """What keeps customer and company together, as features: their names.

    Attributes
    ----------
    times : str
        How often: orders, or days of activity.
    first, last : str
        Days since it first happened, and since it last did.
    usual_gap, last_gap : str or None
        Mean days between two, and days between the last two. None: no such feature; the mean
        follows from the other three, and nobody is told apart as won back.
    """

    times: str
    first: str
    last: str
    usual_gap: str | None = None
    last_gap: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Those that the rules read."""
        every = (self.times, self.first, self.last, self.usual_gap, self.last_gap)
        return tuple(name for name in every if name is not None)


BY_ORDERS: Final = Relation(
    "orders_ever",
    "days_since_first_order",
    "days_since_last_order",
    "usual_gap_days",
    "last_gap_days",
)
BY_ACTIVITY: Final = Relation(
    "active_days_ever", "days_since_first_activity", "days_since_last_activity"
)
# The features that the rules read of a company that sells.
STAGE_FEATURES: Final = ("relationship_ended", *BY_ORDERS.features, *_SUBSCRIPTION)

FIRST_DAYS: Final = 30  # a month: most second orders of a shop come within it, or never
FEW_ORDERS: Final = 3  # from the third order on, customers know their way
# Silent for twice one's own usual gap: the rule of thumb that a model has to beat.
PATIENCE: Final = 2.0
# Nobody is called silent within a week: shopping has a weekly rhythm, even for daily customers.
SHORTEST_PATIENCE_DAYS: Final = 7.0


class InvalidWindows(ValueError):
    """The stage windows are not positive, or in the wrong order."""


class MissingFeature(LookupError):
    """A feature that the rules read is not among those given."""


@dataclass(frozen=True, slots=True)
class StageWindows:
    """The two lengths of silence that the company's own targets state, in days.

    Attributes
    ----------
    at_risk_days : int
        Whoever bought nothing for longer is lapsed: churn is no longer predicted.
    churn_window_days : int
        The label window of churn.
    relation : Relation
        What is missed: orders, or any activity where nobody buys.
    """

    at_risk_days: int
    churn_window_days: int
    relation: Relation = BY_ORDERS

    def __post_init__(self) -> None:
        if not 0 < self.churn_window_days <= self.at_risk_days:
            raise InvalidWindows(
                f"churn window {self.churn_window_days} days, at risk {self.at_risk_days} days; "
                "both must be positive, and the first no longer than the second; "
                "correct targets.toml"
            )


def stage(features: Mapping[str, float], anonymous: bool, windows: StageWindows) -> str:
    """Journey stage: the first rule that holds.

    Parameters
    ----------
    features : mapping of feature name to float
        Must hold `STAGE_FEATURES`, or those of the windows' own relation; NaN where there is
        nothing to say.
    anonymous : bool
        Nobody has identified the customer yet.
    windows : StageWindows

    Returns
    -------
    str
        One of `STAGES`.

    Raises
    ------
    MissingFeature
        If one of these is not given.
    """
    if anonymous:
        return "visitor"
    needed = ("relationship_ended", *windows.relation.features, *_SUBSCRIPTION)
    for name in needed:
        if name not in features:
            raise MissingFeature(
                f"feature '{name}' is missing; stages read {', '.join(needed)}; "
                "compute them with the whole feature set"
            )
    for name, holds in _RULES:
        if holds(features, windows):
            return name
    return "active"


def _ended(features: Mapping[str, float], windows: StageWindows) -> bool:
    return features["relationship_ended"] > 0


def _prospect(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Neither an order (or any activity, where nobody buys) nor a subscription yet."""
    return features[windows.relation.times] == 0 and all(
        isnan(features[name]) for name in _SUBSCRIPTION
    )


def _onboarding(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Customer for a month at most, with fewer than three orders."""
    few = features[windows.relation.times] < FEW_ORDERS
    return few and _customer_for(features, windows) <= FIRST_DAYS


def _won_back(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Ordered in the last month, after a silence that had made them lapsed."""
    relation = windows.relation
    if relation.last_gap is None:
        return False
    lately = features[relation.last] <= FIRST_DAYS
    return lately and features[relation.last_gap] > windows.at_risk_days


def _leaving(features: Mapping[str, float], windows: StageWindows) -> bool:
    """The subscription still runs, but has been cancelled."""
    return features["subscription_days_left"] > 0 and _cancelled(features)


def _subscribed(features: Mapping[str, float], windows: StageWindows) -> bool:
    """The subscription runs, and nobody has cancelled it: never lapsed, however silent."""
    return bool(subscription_runs(*(features[name] for name in _SUBSCRIPTION)))


def _lapsed(features: Mapping[str, float], windows: StageWindows) -> bool:
    return _silent_days(features, windows) > windows.at_risk_days


def _lapsing(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Silent for longer than usual; or the subscription, which was all there was, is over."""
    if features[windows.relation.times] == 0:
        return True
    return _silent_days(features, windows) > _patience_days(features, windows)


_RULES: Final[tuple[tuple[str, Callable[[Mapping[str, float], StageWindows], bool]], ...]] = (
    ("ended", _ended),
    ("prospect", _prospect),
    ("onboarding", _onboarding),
    ("won_back", _won_back),
    ("lapsing", _leaving),
    ("active", _subscribed),
    ("lapsed", _lapsed),
    ("lapsing", _lapsing),
)


def subscription_runs(
    days_left: FloatArray | float,
    since_started: FloatArray | float,
    since_cancelled: FloatArray | float,
) -> BoolArray | np.bool_:
    """Whether a subscription runs that nobody has cancelled; of one customer or of many.

    Where no end was stated, it runs from its start until it is cancelled.
    """
    known, started = ~np.isnan(since_cancelled), ~np.isnan(since_started)
    cancelled = np.less(since_cancelled, since_started) | (~started & known)
    return (np.greater(days_left, 0) | (np.isnan(days_left) & started)) & ~cancelled


def _customer_for(features: Mapping[str, float], windows: StageWindows) -> float:
    """Days since the first order or, without orders, since the subscription started."""
    first = features[windows.relation.first]
    return features["days_since_subscription_started"] if isnan(first) else first


def _cancelled(features: Mapping[str, float]) -> bool:
    """Cancelled, and not started again since."""
    since_cancelled = features["days_since_subscription_cancelled"]
    since_started = features["days_since_subscription_started"]
    return since_cancelled < since_started or (isnan(since_started) and not isnan(since_cancelled))


def _silent_days(features: Mapping[str, float], windows: StageWindows) -> float:
    """Days since the last order or since the subscription was over, whichever is less."""
    over = -features["subscription_days_left"]
    if isnan(over):
        over = features["days_since_subscription_cancelled"]
    known = [days for days in (features[windows.relation.last], over) if not isnan(days)]
    return min(known, default=nan)


def _patience_days(features: Mapping[str, float], windows: StageWindows) -> float:
    """Days of silence that are still usual for this customer.

    Twice the own mean gap, but no longer than the churn window, which nine of ten gaps do not
    exceed; and never shorter than the mean gap itself, or than a week. The churn window where
    there has been no second order.
    """
    usual = _usual_gap(features, windows.relation)
    if isnan(usual):
        return float(windows.churn_window_days)
    shortened = min(PATIENCE * usual, float(windows.churn_window_days))
    return max(shortened, usual, SHORTEST_PATIENCE_DAYS)


def _usual_gap(features: Mapping[str, float], relation: Relation) -> float:
    """Mean days between two, NaN with fewer than two."""
    if relation.usual_gap is not None:
        return features[relation.usual_gap]
    gaps = features[relation.times] - 1
    return (features[relation.first] - features[relation.last]) / gaps if gaps > 0 else nan
