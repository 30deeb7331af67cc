"""Every feature, declared once: the data dictionary of the project.

A window of ``w`` days is ``[as_of - w, as_of)``. Counts and sums are 0 where there is nothing;
days, rates and averages are NaN. Directions are stated only where everybody expects them, all
else equal: whoever ordered yesterday may be *less* likely to order again this week.
"""

from typing import Final

from features.algebra import Feature, FeatureSet
from features.decay import HALF_LIVES
from features.expressions import Signals
from features.signals import CONTACT_EVENTS

# Currencies with two decimals (EUR, USD, GBP ...). Others would need their own number here.
MINOR_UNITS: Final = 100
THOUSANDTHS: Final = 1000  # scores are kept as thousandths: see VALUE_SOURCE
HOURS_A_DAY: Final = 24
SURVEYS: Final = ("nps", "csat", "ces")

orders = Signals("Order Completed")
refunds = Signals("Order Refunded")
emails = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "email"))
texts = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "sms"))
pushes = Signals(*(key for key, channel in CONTACT_EVENTS.items() if channel == "push"))
contacts = Signals(*CONTACT_EVENTS)
visits = Signals("Page Viewed", "Product Viewed", "Application Opened")
pages = Signals("Page Viewed")
app_opens = Signals("Application Opened")
activity = Signals(*visits.events, "Feature Used")
tickets = Signals("Ticket Opened")
tickets_resolved = Signals("Ticket Resolved")
replied: Final = "Ticket Replied"
nps = Signals("Survey Answered/nps")
csat = Signals("Survey Answered/csat")
answers = Signals(*(f"Survey Answered/{kind}" for kind in SURVEYS))
surveys = Signals(*(f"Survey Sent/{kind}" for kind in SURVEYS))
subscription_terms = Signals("Subscription Started", "Subscription Renewed")

# Names that the data dictionary uses for the longer ones.
EVENT_SETS: Final = {
    "e-mails": emails.events,
    "texts": texts.events,
    "pushes": pushes.events,
    "contacts": contacts.events,
    "visits": visits.events,
    "activity": activity.events,
    "survey answers": answers.events,
    "surveys sent": surveys.events,
}

_LOYAL: Final = {"churn_risk": -1, "repurchase_likelihood": 1}
_LEAVING: Final = {"churn_risk": 1, "repurchase_likelihood": -1}
_PLEASED: Final = {"churn_risk": -1, "promoter_likelihood": 1}

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
        "visit_days_{days}d",
        "Different days with a visit in the last {days} days",
        "days",
        "web",
        visits.distinct_days,
    ).over(28),
    Feature(
        "visits_half_life_7d",
        "Visits, each counting half as much for every 7 days of its age",
        "visits",
        "web",
        visits.decayed_count(7),
    ),
    Feature(
        "visits_trend_28d",
        "Visits in the last 28 days for each visit in the 28 days before",
        "times",
        "web",
        visits.count.within(28) / (visits.count.within(56) - visits.count.within(28)),
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
        "days_since_email_clicked",
        "Days since a link in an e-mail was last clicked",
        "days",
        "email",
        Signals("Email Link Clicked").recency,
    ),
    Feature(
        "email_opens_half_life_21d",
        "E-mails opened, each counting half as much for every 21 days of its age",
        "opens",
        "email",
        Signals("Email Opened").decayed_count(21),
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
    Feature(
        "days_since_last_activity",
        "Days since the last visit or use of any kind",
        "days",
        "app",
        activity.recency,
    ),
    *Feature(
        "active_days_{days}d",
        "Different days with a visit or use in the last {days} days",
        "days",
        "app",
        activity.distinct_days,
    ).over(28),
    Feature(
        "active_days_ever",
        "Different days with a visit or use, ever",
        "days",
        "app",
        activity.distinct_days.ever,
    ),
    *Feature(
        "app_opens_{days}d",
        "Times the app was opened in the last {days} days",
        "times",
        "app",
        app_opens.count,
    ).over(28),
    *Feature(
        "app_days_{days}d",
        "Different days on which the app was opened in the last {days} days",
        "days",
        "app",
        app_opens.distinct_days,
    ).over(28),
    Feature(
        "days_since_app_opened",
        "Days since the app was last opened",
        "days",
        "app",
        app_opens.recency,
    ),
    *Feature(
        "push_tap_rate_{days}d",
        "Taps for each push notification sent in the last {days} days",
        "share",
        "app",
        Signals("Push Notification Tapped").count / pushes.count,
    ).over(90),
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
    *Feature(
        "tickets_unanswered_{days}d",
        "Support tickets opened in the last {days} days and followed by no reply yet",
        "tickets",
        "support",
        tickets.count - tickets.answered(replied),
        actionable=True,
    ).over(90),
    *Feature(
        "ticket_reply_hours_{days}d",
        "Mean hours from a support ticket to the next reply, among those of the last {days} days "
        "that have one",
        "hours",
        "support",
        tickets.mean_wait(replied) * HOURS_A_DAY,
        actionable=True,
    ).over(365),
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
        "nps_change",
        "Last answer to 'how likely are you to recommend us' less the one before",
        "points",
        "feedback",
        (nps.last_value - nps.previous_value) / THOUSANDTHS,
        _PLEASED,
    ),
    Feature(
        "csat_last",
        "Last answer to 'how satisfied are you'",
        "points",
        "feedback",
        csat.last_value / THOUSANDTHS,
        _PLEASED,
    ),
    Feature(
        "csat_change",
        "Last answer to 'how satisfied are you' less the one before",
        "points",
        "feedback",
        (csat.last_value - csat.previous_value) / THOUSANDTHS,
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
        "surveys_sent_{days}d",
        "Surveys sent in the last {days} days",
        "surveys",
        "feedback",
        surveys.count,
        actionable=True,
    ).over(365),
    *Feature(
        "survey_answer_rate_{days}d",
        "Answers for each survey sent in the last {days} days",
        "share",
        "feedback",
        answers.count / surveys.count,
    ).over(365),
    Feature(
        "review_last",
        "Stars of the last review",
        "stars",
        "feedback",
        Signals("Review Written").last_value / THOUSANDTHS,
        _PLEASED,
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

PRESSURE: Final = (
    *Feature(
        "texts_sent_{days}d",
        "Text messages (SMS) sent in the last {days} days",
        "messages",
        "pressure",
        texts.count,
        actionable=True,
    ).over(28),
    *Feature(
        "pushes_sent_{days}d",
        "Push notifications sent in the last {days} days",
        "messages",
        "pressure",
        pushes.count,
        actionable=True,
    ).over(28),
    Feature(
        "contacts_half_life_7d",
        "Messages sent on any channel, each counting half as much for every 7 days of its age",
        "messages",
        "pressure",
        contacts.decayed_count(7),
        actionable=True,
    ),
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
