"""The journey stage of a customer: ordered rules over features, the first match wins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

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
# The features that the rules read.
STAGE_FEATURES: Final = (
    "relationship_ended",
    "orders_ever",
    "days_since_first_order",
    "days_since_last_order",
    "usual_gap_days",
    "last_gap_days",
    *_SUBSCRIPTION,
)

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
    """

    at_risk_days: int
    churn_window_days: int

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
        Must hold `STAGE_FEATURES`; NaN where there is nothing to say.
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
        If one of `STAGE_FEATURES` is not given.
    """
    if anonymous:
        return "visitor"
    for name in STAGE_FEATURES:
        if name not in features:
            raise MissingFeature(
                f"feature '{name}' is missing; stages read {', '.join(STAGE_FEATURES)}; "
                "compute them with the whole feature set"
            )
    for name, holds in _RULES:
        if holds(features, windows):
            return name
    return "active"


def _ended(features: Mapping[str, float], windows: StageWindows) -> bool:
    return features["relationship_ended"] > 0


def _prospect(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Neither an order nor a subscription yet."""
    return features["orders_ever"] == 0 and all(isnan(features[name]) for name in _SUBSCRIPTION)


def _onboarding(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Customer for a month at most, with fewer than three orders."""
    return features["orders_ever"] < FEW_ORDERS and _customer_for(features) <= FIRST_DAYS


def _won_back(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Ordered in the last month, after a silence that had made them lapsed."""
    return (
        features["days_since_last_order"] <= FIRST_DAYS
        and features["last_gap_days"] > windows.at_risk_days
    )


def _leaving(features: Mapping[str, float], windows: StageWindows) -> bool:
    """The subscription still runs, but has been cancelled."""
    return features["subscription_days_left"] > 0 and _cancelled(features)


def _subscribed(features: Mapping[str, float], windows: StageWindows) -> bool:
    """The subscription runs, and nobody has cancelled it: never lapsed, however silent."""
    days_left = features["subscription_days_left"]
    if isnan(days_left):  # no end was stated: it runs from its start until it is cancelled
        return not isnan(features["days_since_subscription_started"]) and not _cancelled(features)
    return days_left > 0 and not _cancelled(features)


def _lapsed(features: Mapping[str, float], windows: StageWindows) -> bool:
    return _silent_days(features) > windows.at_risk_days


def _lapsing(features: Mapping[str, float], windows: StageWindows) -> bool:
    """Silent for longer than usual."""
    return _silent_days(features) > _patience_days(features, windows)


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


def _customer_for(features: Mapping[str, float]) -> float:
    """Days since the first order or, without orders, since the subscription started."""
    first_order = features["days_since_first_order"]
    return features["days_since_subscription_started"] if isnan(first_order) else first_order


def _cancelled(features: Mapping[str, float]) -> bool:
    """Cancelled, and not started again since."""
    since_cancelled = features["days_since_subscription_cancelled"]
    since_started = features["days_since_subscription_started"]
    return since_cancelled < since_started or (isnan(since_started) and not isnan(since_cancelled))


def _silent_days(features: Mapping[str, float]) -> float:
    """Days since the last order or since the subscription was over, whichever is less."""
    over = -features["subscription_days_left"]
    if isnan(over):
        over = features["days_since_subscription_cancelled"]
    known = [days for days in (features["days_since_last_order"], over) if not isnan(days)]
    return min(known, default=nan)


def _patience_days(features: Mapping[str, float], windows: StageWindows) -> float:
    """Days of silence that are still usual for this customer.

    Twice the own mean gap, but no longer than the churn window, which nine of ten gaps do not
    exceed; and never shorter than the mean gap itself, or than a week. The churn window where
    there has been no second order.
    """
    usual = features["usual_gap_days"]
    if isnan(usual):
        return float(windows.churn_window_days)
    shortened = min(PATIENCE * usual, float(windows.churn_window_days))
    return max(shortened, usual, SHORTEST_PATIENCE_DAYS)
