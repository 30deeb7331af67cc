"""What customers look at and use: pages, products, the app."""

from typing import Final

from features.algebra import Feature
from features.expressions import Signals
from features.groups.event_sets import activity, pushes, visits

pages = Signals("Page Viewed")
app_opens = Signals("Application Opened")

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
