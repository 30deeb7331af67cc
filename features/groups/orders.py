"""What customers order: how lately, how often, for how much."""

from typing import Final

from features.algebra import Feature
from features.decay import HALF_LIVES
from features.expressions import Signals
from features.groups.event_sets import orders
from features.signals import MINOR_UNITS

refunds = Signals("Order Refunded")

_LOYAL: Final = {"churn_risk": -1, "repurchase_likelihood": 1}
_LEAVING: Final = {"churn_risk": 1, "repurchase_likelihood": -1}

RECENCY: Final = (
    Feature(
        "days_since_last_order", "Days since the last order", "days", "recency", orders.recency
    ),
    Feature(
        "lateness",
        "Time since the last order, in usual gaps between orders",
        "times",
        "recency",
        orders.recency / orders.mean_gap,
    ),
    Feature(
        "days_since_order_shipped",
        "Days since an order was last shipped",
        "days",
        "recency",
        Signals("Order Shipped").recency,
    ),
    Feature(
        "days_since_order_delivered",
        "Days since an order was last delivered",
        "days",
        "recency",
        Signals("Order Delivered").recency,
    ),
)

FREQUENCY: Final = (
    *Feature(
        "orders_{days}d", "Orders in the last {days} days", "orders", "frequency", orders.count
    ).over(7, 28),
    *Feature(
        "orders_{days}d",
        "Orders in the last {days} days",
        "orders",
        "frequency",
        orders.count,
        _LOYAL,
    ).over(84, 365),
    Feature("orders_ever", "Orders ever", "orders", "frequency", orders.count.ever),
    Feature(
        "order_days_ever",
        "Different days with an order, ever",
        "days",
        "frequency",
        orders.distinct_days.ever,
    ),
    # On Complete Journey these say most about both scores: what happened lately counts more,
    # without an edge at which an order suddenly counts no more.
    *(
        Feature(
            f"orders_half_life_{days}d",
            f"Orders, each counting half as much for every {days} days of its age",
            "orders",
            "frequency",
            orders.decayed_count(days),
            _LOYAL if days > 7 else {},
        )
        for days in HALF_LIVES
    ),
    *Feature(
        "order_days_{days}d",
        "Different days with an order in the last {days} days",
        "days",
        "frequency",
        orders.distinct_days,
    ).over(28),
    *Feature(
        "order_days_{days}d",
        "Different days with an order in the last {days} days",
        "days",
        "frequency",
        orders.distinct_days,
        _LOYAL,
    ).over(84, 365),
    *Feature(
        "order_weeks_{days}d",
        "Weeks with an order among the last 12",
        "weeks",
        "frequency",
        orders.distinct_weeks,
        _LOYAL,
    ).over(84),
    Feature(
        "orders_trend_28d",
        "Orders in the last 28 days for each order in the 28 days before",
        "times",
        "frequency",
        orders.count.within(28) / (orders.count.within(56) - orders.count.within(28)),
    ),
    Feature(
        "usual_gap_days",
        "Mean days between orders",
        "days",
        "frequency",
        orders.mean_gap,
        _LEAVING,
    ),
    Feature(
        "last_gap_days", "Days between the last two orders", "days", "frequency", orders.last_gap
    ),
    Feature(
        "gap_deviation_days",
        "Standard deviation of the days from one day with an order to the next",
        "days",
        "frequency",
        orders.gap_deviation,
    ),
)

SPEND: Final = (
    *Feature(
        "spend_{days}d",
        "Money spent on orders in the last {days} days",
        "currency",
        "spend",
        orders.sum_amount / MINOR_UNITS,
    ).over(28, 84, 365),
    Feature(
        "spend_trend_28d",
        "Money spent on orders in the last 28 days for each unit spent in the 28 days before",
        "times",
        "spend",
        orders.sum_amount.within(28)
        / (orders.sum_amount.within(56) - orders.sum_amount.within(28)),
    ),
    *Feature(
        "average_order_value_{days}d",
        "Mean amount of an order in the last {days} days",
        "currency",
        "spend",
        orders.sum_amount / (orders.count * MINOR_UNITS),
    ).over(365),
    *Feature(
        "discount_share_{days}d",
        "Share of the price before discount that was given as discount in the last {days} days",
        "share",
        "spend",
        orders.sum_value / (orders.sum_amount + orders.sum_value),
        actionable=True,
    ).over(365),
    *Feature(
        "departments_{days}d",
        "Different departments ordered from in the last {days} days",
        "departments",
        "spend",
        orders.distinct_categories,
    ).over(84, 365),
    *Feature(
        "refunds_{days}d",
        "Refunds in the last {days} days",
        "refunds",
        "spend",
        refunds.count,
    ).over(365),
    *Feature(
        "refund_share_{days}d",
        "Money refunded for each unit spent on orders in the last {days} days",
        "share",
        "spend",
        refunds.sum_amount / orders.sum_amount,
    ).over(365),
)
