"""Every feature, declared once: the data dictionary of the project.

A window of ``w`` days is ``[as_of - w, as_of)``. Counts and sums are 0 where there is nothing;
days, rates and averages are NaN. Directions are stated only where everybody expects them, all
else equal: whoever ordered yesterday may be *less* likely to order again this week.
"""

from typing import Final

from features.algebra import Feature, FeatureSet
from features.expressions import Signals
from features.signals import CONTACT_EVENTS

# Currencies with two decimals (EUR, USD, GBP ...). Others would need their own number here.
MINOR_UNITS: Final = 100
THOUSANDTHS: Final = 1000  # scores are kept as thousandths: see VALUE_SOURCE

orders = Signals("Order Completed")
emails = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "email"))
contacts = Signals(*CONTACT_EVENTS)
visits = Signals("Page Viewed", "Product Viewed", "Application Opened")
pages = Signals("Page Viewed")
tickets = Signals("Ticket Opened")
tickets_resolved = Signals("Ticket Resolved")
nps = Signals("Survey Answered/nps")
subscription_terms = Signals("Subscription Started", "Subscription Renewed")

_LOYAL: Final = {"churn_risk": -1, "repurchase_likelihood": 1}
_LEAVING: Final = {"churn_risk": 1, "repurchase_likelihood": -1}
_PLEASED: Final = {"churn_risk": -1, "promoter_likelihood": 1}

RECENCY: Final = (
    Feature(
        "days_since_last_order", "Days since the last order", "days", "recency", orders.recency
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
    *Feature(
        "order_days_{days}d",
        "Different days with an order in the last {days} days",
        "days",
        "frequency",
        orders.distinct_days,
        _LOYAL,
    ).over(84),
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
)

SPEND: Final = (
    *Feature(
        "spend_{days}d",
        "Money spent on orders in the last {days} days",
        "currency",
        "spend",
        orders.sum_amount / MINOR_UNITS,
    ).over(28, 84, 365),
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
    ).over(365),
    *Feature(
        "refunds_{days}d",
        "Refunds in the last {days} days",
        "refunds",
        "spend",
        Signals("Order Refunded").count,
    ).over(365),
)

WEB: Final = (
    *Feature(
        "pages_{days}d", "Pages viewed in the last {days} days", "pages", "web", pages.count
    ).over(7, 28),
    Feature(
        "days_since_last_visit",
        "Days since the last visit to a page, a product or the app",
        "days",
        "web",
        visits.recency,
    ),
    *Feature(
        "products_viewed_{days}d",
        "Products viewed in the last {days} days",
        "views",
        "web",
        Signals("Product Viewed").count,
    ).over(7),
    Feature(
        "days_since_product_added",
        "Days since a product was last put in the cart",
        "days",
        "web",
        Signals("Product Added").recency,
    ),
    Feature(
        "days_since_checkout_started",
        "Days since a checkout was last started",
        "days",
        "web",
        Signals("Checkout Started").recency,
    ),
    *Feature(
        "searches_{days}d",
        "Product searches in the last {days} days",
        "searches",
        "web",
        Signals("Products Searched").count,
    ).over(28),
)

EMAIL: Final = (
    *Feature(
        "emails_sent_{days}d",
        "E-mails sent in the last {days} days",
        "emails",
        "email",
        emails.count,
        actionable=True,
    ).over(28),
    *Feature(
        "email_open_rate_{days}d",
        "Opens for each e-mail sent in the last {days} days",
        "share",
        "email",
        Signals("Email Opened").count / emails.count,
    ).over(90),
    *Feature(
        "email_click_rate_{days}d",
        "Clicks for each e-mail sent in the last {days} days",
        "share",
        "email",
        Signals("Email Link Clicked").count / emails.count,
    ).over(90),
    Feature(
        "days_since_email_opened",
        "Days since an e-mail was last opened",
        "days",
        "email",
        Signals("Email Opened").recency,
    ),
    Feature(
        "unsubscribes_ever",
        "Times unsubscribed",
        "times",
        "email",
        Signals("Unsubscribed").count.ever,
    ),
)

APP: Final = (
    *Feature(
        "app_opens_{days}d",
        "Times the app was opened in the last {days} days",
        "times",
        "app",
        Signals("Application Opened").count,
    ).over(28),
    *Feature(
        "minutes_used_{days}d",
        "Minutes of use in the last {days} days",
        "minutes",
        "app",
        Signals("Feature Used").sum_value,
    ).over(28),
)

SUPPORT: Final = (
    Feature(
        "tickets_open",
        "Support tickets opened and not yet resolved",
        "tickets",
        "support",
        tickets.count.ever - tickets_resolved.count.ever,
        actionable=True,
    ),
    *Feature(
        "tickets_{days}d",
        "Support tickets opened in the last {days} days",
        "tickets",
        "support",
        tickets.count,
    ).over(90),
    Feature(
        "days_since_ticket_opened",
        "Days since a support ticket was last opened",
        "days",
        "support",
        tickets.recency,
    ),
    Feature(
        "days_since_ticket_resolved",
        "Days since a support ticket was last resolved",
        "days",
        "support",
        tickets_resolved.recency,
    ),
)

FEEDBACK: Final = (
    Feature(
        "nps_last",
        "Last answer to 'how likely are you to recommend us' (0-10)",
        "points",
        "feedback",
        nps.last_value / THOUSANDTHS,
        _PLEASED,
    ),
    Feature(
        "days_since_nps",
        "Days since the last answer to 'how likely are you to recommend us'",
        "days",
        "feedback",
        nps.recency,
    ),
    Feature(
        "csat_last",
        "Last answer to 'how satisfied are you'",
        "points",
        "feedback",
        Signals("Survey Answered/csat").last_value / THOUSANDTHS,
        _PLEASED,
    ),
    # No direction: on some scales a high score means much effort, on others little.
    Feature(
        "ces_last",
        "Last answer to 'how easy was it'",
        "points",
        "feedback",
        Signals("Survey Answered/ces").last_value / THOUSANDTHS,
    ),
    *Feature(
        "reviews_{days}d",
        "Reviews written in the last {days} days",
        "reviews",
        "feedback",
        Signals("Review Written").count,
    ).over(365),
)

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
        "coupons_{days}d",
        "Coupons redeemed in the last {days} days",
        "coupons",
        "loyalty",
        Signals("Coupon Redeemed").count,
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
)

PRESSURE: Final = (
    *Feature(
        "contacts_{days}d",
        "Messages sent on any channel in the last {days} days",
        "messages",
        "pressure",
        contacts.count,
        actionable=True,
    ).over(7, 28),
    Feature(
        "days_since_last_contact",
        "Days since the last message on any channel",
        "days",
        "pressure",
        contacts.recency,
        actionable=True,
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

FEATURES: Final = FeatureSet(
    (
        *RECENCY,
        *FREQUENCY,
        *SPEND,
        *WEB,
        *EMAIL,
        *APP,
        *SUPPORT,
        *FEEDBACK,
        *LOYALTY,
        *SUBSCRIPTION,
        *PRESSURE,
        *TENURE,
    )
)
