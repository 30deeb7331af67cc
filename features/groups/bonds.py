"""What ties customers to the company: points, subscriptions, years."""

from typing import Final

from features.algebra import Feature
from features.expressions import Signals
from features.groups.event_sets import activity, orders

subscription_terms = Signals("Subscription Started", "Subscription Renewed")

LOYALTY: Final = (
    *Feature(
        "referrals_{days}d",
        "Friends referred in the last {days} days",
        "referrals",
        "loyalty",
        Signals("Referral Made").count,
        {"promoter_likelihood": 1},
    ).over(365),
    *Feature(
        "shares_{days}d",
        "Times something was shared with others in the last {days} days",
        "times",
        "loyalty",
        Signals("Content Shared").count,
    ).over(365),
    *Feature(
        "coupons_{days}d",
        "Coupons redeemed in the last {days} days",
        "coupons",
        "loyalty",
        Signals("Coupon Redeemed").count,
    ).over(365),
    *Feature(
        "points_earned_{days}d",
        "Loyalty points earned in the last {days} days",
        "points",
        "loyalty",
        Signals("Points Earned").sum_value,
    ).over(84),
    *Feature(
        "points_redeemed_{days}d",
        "Loyalty points redeemed in the last {days} days",
        "points",
        "loyalty",
        Signals("Points Redeemed").sum_value,
    ).over(365),
    Feature(
        "points_balance",
        "Loyalty points earned and not yet redeemed",
        "points",
        "loyalty",
        Signals("Points Earned").sum_value.ever - Signals("Points Redeemed").sum_value.ever,
    ),
)

SUBSCRIPTION: Final = (
    Feature(
        "subscription_days_left",
        "Days until the subscription, as last started or renewed, ends (negative: it has ended)",
        "days",
        "subscription",
        subscription_terms.days_to_last_value,
    ),
    Feature(
        "days_since_subscription_started",
        "Days since a subscription was last started",
        "days",
        "subscription",
        Signals("Subscription Started").recency,
    ),
    Feature(
        "days_since_subscription_cancelled",
        "Days since a subscription was last cancelled",
        "days",
        "subscription",
        Signals("Subscription Cancelled").recency,
    ),
    Feature(
        "renewals_ever",
        "Times a subscription was renewed",
        "times",
        "subscription",
        Signals("Subscription Renewed").count.ever,
    ),
)

TENURE: Final = (
    Feature(
        "tenure_days",
        "Days since the first signal of any kind",
        "days",
        "tenure",
        Signals.any().age,
    ),
    Feature("days_since_first_order", "Days since the first order", "days", "tenure", orders.age),
    Feature(
        "days_since_first_activity",
        "Days since the first visit or use of any kind",
        "days",
        "tenure",
        activity.age,
    ),
    Feature(
        "days_since_signed_up",
        "Days since the last sign-up",
        "days",
        "tenure",
        Signals("Signed Up").recency,
    ),
    Feature(
        "relationship_ended",
        "Times the relationship was ended for good",
        "times",
        "tenure",
        Signals("Relationship Ended").count.ever,
    ),
)
