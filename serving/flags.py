"""Flags: what is special about a customer just now. Several may be up at once."""

from collections.abc import Mapping
from math import inf, isnan

from models.expectation import Expectation
from serving.policy import FlagRules, Policy
from serving.records import FLAGS


def flags_up(
    features: Mapping[str, float], expectation: Expectation, policy: Policy
) -> tuple[str, ...]:
    """Flags that are up, in the order of `FLAGS`.

    They are set after scoring, since `high_value` looks at the expected margin and `advocate`
    at the likelihood of being a promoter. `objector`
    is not among them: it is read under the customer's lock, with the consents.
    """
    rules = policy.flags
    up = {
        "cart_open": _cart_open(features, rules),
        "order_in_transit": _order_in_transit(features, rules),
        "complaint_open": features["tickets_open"] > 0,
        "renewal_near": _renewal_near(features, rules),
        "researching": _researching(features, rules),
        "advocate": _advocate(features, expectation, rules),
        "detractor": _answered_nps(features, rules.detractor_days, 0, 6),
        "high_value": _high_value(expectation, rules),
    }
    return tuple(flag for flag in FLAGS if up.get(flag))


def _days(features: Mapping[str, float], name: str) -> float:
    """Days since something; infinitely long ago if it never happened."""
    days = features[name]
    return inf if isnan(days) else days


def _cart_open(features: Mapping[str, float], rules: FlagRules) -> bool:
    """A product was put in the cart, or checkout begun, and no order came after it."""
    touched = min(
        _days(features, "days_since_product_added"),
        _days(features, "days_since_checkout_started"),
    )
    return touched <= rules.cart_days and touched < _days(features, "days_since_last_order")


def _order_in_transit(features: Mapping[str, float], rules: FlagRules) -> bool:
    """The last parcel was shipped and has not been delivered."""
    shipped = _days(features, "days_since_order_shipped")
    return shipped <= rules.transit_days and shipped < _days(features, "days_since_order_delivered")


def _renewal_near(features: Mapping[str, float], rules: FlagRules) -> bool:
    """A subscription ends soon, and was not cancelled since it began."""
    cancelled = _days(features, "days_since_subscription_cancelled")
    if cancelled < _days(features, "days_since_subscription_started"):
        return False
    return 0 <= features["subscription_days_left"] <= rules.renewal_days  # NaN: False


def _researching(features: Mapping[str, float], rules: FlagRules) -> bool:
    """Looked at several products this week and ordered nothing."""
    looked = features["products_viewed_7d"] >= rules.researching_views
    return looked and features["orders_7d"] == 0


def _answered_nps(features: Mapping[str, float], days: float, low: float, high: float) -> bool:
    return _days(features, "days_since_nps") <= days and low <= features["nps_last"] <= high


def _advocate(features: Mapping[str, float], expectation: Expectation, rules: FlagRules) -> bool:
    """Said 9 or 10 or, if not asked lately, brought somebody within a year or likely would."""
    if _days(features, "days_since_nps") <= rules.advocate_days:
        return _answered_nps(features, rules.advocate_days, 9, 10)
    likely = expectation.value("promoter_likelihood")
    would = likely is not None and likely >= rules.advocate_likelihood
    return would or features["referrals_365d"] > 0


def _high_value(expectation: Expectation, rules: FlagRules) -> bool:
    """Worth several times the average customer."""
    margin = expectation.scores.get("expected_margin")
    if margin is None or margin.base_rate <= 0:
        return False
    return expectation.usual_margin >= rules.high_value_times * margin.base_rate
