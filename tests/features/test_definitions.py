"""Each feature against its own sentence, retold in plain Python that shares no code with us.

The retelling takes the events from the log's own words and counts with `Fraction`, so that
every expected number is the exact quotient, rounded once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.algebra import GROUPS
from features.batch import feature_matrix, feature_row
from features.definitions import FEATURES
from features.signals import ABSENT, SignalColumns, SignalLog, code
from models.expectation import SCORES

AS_OF = 1_788_220_800_000_000  # 2026-09-01 00:00 UTC
DAY = 24 * 60 * 60 * 1_000_000


@dataclass(frozen=True)
class Fact:
    event: str
    occurred: int
    received: int
    amount: int | None
    value: int | None
    department: str | None


Past = list[Fact]  # what was known at AS_OF
EMAILS = ("Email Sent", "Communication Sent/email")
MESSAGES = (
    *EMAILS,
    *("SMS Sent", "Push Notification Sent", "Call Made", "Letter Sent"),
    *(f"Communication Sent/{c}" for c in ("sms", "push", "call", "post", "inapp", "chat")),
)
TEXTS = ("SMS Sent", "Communication Sent/sms")
PUSHES = ("Push Notification Sent", "Communication Sent/push")
VISITS = ("Page Viewed", "Product Viewed", "Application Opened")
ACTIVITY = (*VISITS, "Feature Used")
SURVEYS_SENT = ("Survey Sent/nps", "Survey Sent/csat", "Survey Sent/ces")
SURVEYS_ANSWERED = ("Survey Answered/nps", "Survey Answered/csat", "Survey Answered/ces")
NOTHING = math.nan


def of(past: Past, events: tuple[str, ...], days: int | None = None) -> Past:
    earliest = -math.inf if days is None else AS_OF - days * DAY
    return [fact for fact in past if fact.event in events and fact.occurred >= earliest]


def how_many(*events: str, days: int | None = None) -> Callable[[Past], float]:
    return lambda past: len(of(past, events, days))


def since_last(*events: str) -> Callable[[Past], float]:
    def days(past: Past) -> float:
        times = [fact.occurred for fact in of(past, events)]
        return float(Fraction(AS_OF - max(times), DAY)) if times else NOTHING

    return days


def since_first(*events: str) -> Callable[[Past], float]:
    def days(past: Past) -> float:
        times = [fact.occurred for fact in of(past, events)]
        return float(Fraction(AS_OF - min(times), DAY)) if times else NOTHING

    return days


def tenure(past: Past) -> float:
    return float(Fraction(AS_OF - min(f.occurred for f in past), DAY)) if past else NOTHING


def order_days(window: int) -> Callable[[Past], float]:
    return days_with("Order Completed", days=window)


def days_with(*events: str, days: int | None = None) -> Callable[[Past], float]:
    return lambda past: len({fact.occurred // DAY for fact in of(past, events, days)})


def order_weeks(past: Past) -> float:
    """Weeks counted back from AS_OF: the first ends there and is seven days long."""
    weeks = [(AS_OF - (n + 1) * 7 * DAY, AS_OF - n * 7 * DAY) for n in range(12)]
    times = order_times(past)
    return sum(any(begin <= time < end for time in times) for begin, end in weeks)


def fading(*events: str, half_life: int) -> Callable[[Past], float]:
    """Whole days old; the weights are whole numbers of 2**-30, each halving rounds down."""

    def weight(age: int) -> int:
        whole = Fraction(2**30 * Decimal(2) ** (-Decimal(age % half_life) / half_life))
        return math.floor(round(whole) / Fraction(2 ** (age // half_life)))

    def count(past: Past) -> float:
        ages = [(AS_OF - fact.occurred) // DAY for fact in of(past, events)]
        return float(Fraction(sum(weight(age) for age in ages), 2**30))

    return count


def lateness(past: Past) -> float:
    usual = usual_gap(past)
    return since_last("Order Completed")(past) / usual if usual > 0 else NOTHING


def trend(measured: Callable[[int], Callable[[Past], float]]) -> Callable[[Past], float]:
    """The last 28 days against the 28 before."""

    def ratio(past: Past) -> float:
        recent = measured(28)(past)
        before = measured(56)(past) - recent
        return recent / before if before else NOTHING

    return ratio


def gap_deviation(past: Past) -> float:
    days = sorted({time // DAY for time in order_times(past)})
    gaps = [later - earlier for earlier, later in pairwise(days)]
    if len(gaps) < 2:
        return NOTHING
    mean = Fraction(sum(gaps), len(gaps))
    variance = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
    return math.sqrt(variance)


def refund_share(past: Past) -> float:
    refunded = sum(fact.amount or 0 for fact in of(past, ("Order Refunded",), 365))
    return float(Fraction(refunded, cents(past, 365))) if cents(past, 365) else NOTHING


def next_replies(past: Past, days: int) -> list[int | None]:
    """For each ticket how long until the next reply."""
    replies = sorted(fact.occurred for fact in of(past, ("Ticket Replied",)))
    opened = [fact.occurred for fact in of(past, ("Ticket Opened",), days)]
    return [next((r - time for r in replies if r >= time), None) for time in opened]


def unanswered_tickets(past: Past) -> float:
    return next_replies(past, 90).count(None)


def reply_hours(past: Past) -> float:
    waits = [wait for wait in next_replies(past, 365) if wait is not None]
    return float(Fraction(sum(waits), len(waits) * DAY)) * 24 if waits else NOTHING


def change(kind: str) -> Callable[[Past], float]:
    def less_the_one_before(past: Past) -> float:
        stated = [f for f in of(past, (f"Survey Answered/{kind}",)) if f.value is not None]
        stated.sort(key=lambda fact: (-fact.occurred, fact.value))
        if len(stated) < 2:
            return NOTHING
        return float(Fraction((stated[0].value or 0) - (stated[1].value or 0), 1000))

    return less_the_one_before


def for_each(events: tuple[str, ...], sent: tuple[str, ...], days: int) -> Callable[[Past], float]:
    def rate(past: Past) -> float:
        messages = len(of(past, sent, days))
        return float(Fraction(len(of(past, events, days)), messages)) if messages else NOTHING

    return rate


def total(event: str, days: int) -> Callable[[Past], float]:
    return lambda past: sum(fact.value or 0 for fact in of(past, (event,), days))


def order_times(past: Past) -> list[int]:
    return sorted(fact.occurred for fact in of(past, ("Order Completed",)))


def usual_gap(past: Past) -> float:
    times = order_times(past)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return float(Fraction(sum(gaps), len(gaps) * DAY)) if gaps else NOTHING


def last_gap(past: Past) -> float:
    times = order_times(past)
    return float(Fraction(times[-1] - times[-2], DAY)) if len(times) > 1 else NOTHING


def cents(past: Past, days: int) -> int:
    return sum(fact.amount or 0 for fact in of(past, ("Order Completed",), days))


def spend(days: int) -> Callable[[Past], float]:
    return lambda past: float(Fraction(cents(past, days), 100))


def average_order(past: Past) -> float:
    orders = len(of(past, ("Order Completed",), 365))
    return float(Fraction(cents(past, 365), 100 * orders)) if orders else NOTHING


def discount_share(past: Past) -> float:
    discounts = sum(fact.value or 0 for fact in of(past, ("Order Completed",), 365))
    before = cents(past, 365) + discounts
    return float(Fraction(discounts, before)) if before else NOTHING


def departments(days: int) -> Callable[[Past], float]:
    return lambda past: len({f.department for f in of(past, ("Order Completed",), days)} - {None})


def last_of(past: Past, *events: str) -> int | None:
    """Latest value that was stated; the smallest where several were at once."""
    stated = [fact for fact in of(past, events) if fact.value is not None]
    if not stated:
        return None
    latest = max(fact.occurred for fact in stated)
    return min(fact.value for fact in stated if fact.occurred == latest and fact.value is not None)


def answer(kind: str) -> Callable[[Past], float]:
    def score(past: Past) -> float:
        thousandths = last_of(past, f"Survey Answered/{kind}")
        return NOTHING if thousandths is None else float(Fraction(thousandths, 1000))

    return score


def last_stars(past: Past) -> float:
    thousandths = last_of(past, "Review Written")
    return NOTHING if thousandths is None else float(Fraction(thousandths, 1000))


def points_balance(past: Past) -> float:
    earned = sum(fact.value or 0 for fact in of(past, ("Points Earned",)))
    return earned - sum(fact.value or 0 for fact in of(past, ("Points Redeemed",)))


def subscription_left(past: Past) -> float:
    ends = last_of(past, "Subscription Started", "Subscription Renewed")
    return NOTHING if ends is None else float(Fraction(ends - AS_OF, DAY))


def tickets_open(past: Past) -> float:
    return len(of(past, ("Ticket Opened",))) - len(of(past, ("Ticket Resolved",)))


SENTENCES: dict[str, tuple[str, Callable[[Past], float]]] = {
    "days_since_last_order": ("Days since the last order", since_last("Order Completed")),
    "days_since_order_shipped": (
        "Days since an order was last shipped",
        since_last("Order Shipped"),
    ),
    "days_since_order_delivered": (
        "Days since an order was last delivered",
        since_last("Order Delivered"),
    ),
    "orders_7d": ("Orders in the last 7 days", how_many("Order Completed", days=7)),
    "orders_28d": ("Orders in the last 28 days", how_many("Order Completed", days=28)),
    "orders_84d": ("Orders in the last 84 days", how_many("Order Completed", days=84)),
    "orders_365d": ("Orders in the last 365 days", how_many("Order Completed", days=365)),
    "orders_ever": ("Orders ever", how_many("Order Completed")),
    "order_days_ever": ("Different days with an order, ever", days_with("Order Completed")),
    "days_since_last_activity": (
        "Days since the last visit or use of any kind",
        since_last(*ACTIVITY),
    ),
    "active_days_28d": (
        "Different days with a visit or use in the last 28 days",
        days_with(*ACTIVITY, days=28),
    ),
    "active_days_ever": ("Different days with a visit or use, ever", days_with(*ACTIVITY)),
    "days_since_first_activity": (
        "Days since the first visit or use of any kind",
        since_first(*ACTIVITY),
    ),
    "order_days_28d": ("Different days with an order in the last 28 days", order_days(28)),
    "order_days_84d": ("Different days with an order in the last 84 days", order_days(84)),
    "order_days_365d": ("Different days with an order in the last 365 days", order_days(365)),
    "order_weeks_84d": ("Weeks with an order among the last 12", order_weeks),
    "orders_half_life_7d": (
        "Orders, each counting half as much for every 7 days of its age",
        fading("Order Completed", half_life=7),
    ),
    "orders_half_life_21d": (
        "Orders, each counting half as much for every 21 days of its age",
        fading("Order Completed", half_life=21),
    ),
    "orders_half_life_60d": (
        "Orders, each counting half as much for every 60 days of its age",
        fading("Order Completed", half_life=60),
    ),
    "orders_trend_28d": (
        "Orders in the last 28 days for each order in the 28 days before",
        trend(lambda days: how_many("Order Completed", days=days)),
    ),
    "lateness": ("Time since the last order, in usual gaps between orders", lateness),
    "gap_deviation_days": (
        "Standard deviation of the days from one day with an order to the next",
        gap_deviation,
    ),
    "spend_trend_28d": (
        "Money spent on orders in the last 28 days for each unit spent in the 28 days before",
        trend(lambda days: lambda past: cents(past, days)),
    ),
    "refund_share_365d": (
        "Money refunded for each unit spent on orders in the last 365 days",
        refund_share,
    ),
    "visit_days_28d": (
        "Different days with a visit in the last 28 days",
        days_with(*VISITS, days=28),
    ),
    "visits_half_life_7d": (
        "Visits, each counting half as much for every 7 days of its age",
        fading(*VISITS, half_life=7),
    ),
    "visits_trend_28d": (
        "Visits in the last 28 days for each visit in the 28 days before",
        trend(lambda days: how_many(*VISITS, days=days)),
    ),
    "days_since_email_clicked": (
        "Days since a link in an e-mail was last clicked",
        since_last("Email Link Clicked"),
    ),
    "email_opens_half_life_21d": (
        "E-mails opened, each counting half as much for every 21 days of its age",
        fading("Email Opened", half_life=21),
    ),
    "app_days_28d": (
        "Different days on which the app was opened in the last 28 days",
        days_with("Application Opened", days=28),
    ),
    "days_since_app_opened": (
        "Days since the app was last opened",
        since_last("Application Opened"),
    ),
    "push_tap_rate_90d": (
        "Taps for each push notification sent in the last 90 days",
        for_each(("Push Notification Tapped",), PUSHES, 90),
    ),
    "tickets_unanswered_90d": (
        "Support tickets opened in the last 90 days and followed by no reply yet",
        unanswered_tickets,
    ),
    "ticket_reply_hours_365d": (
        "Mean hours from a support ticket to the next reply, among those of the last 365 days "
        "that have one",
        reply_hours,
    ),
    "nps_change": (
        "Last answer to 'how likely are you to recommend us' less the one before",
        change("nps"),
    ),
    "csat_change": ("Last answer to 'how satisfied are you' less the one before", change("csat")),
    "surveys_sent_365d": (
        "Surveys sent in the last 365 days",
        how_many(*SURVEYS_SENT, days=365),
    ),
    "survey_answer_rate_365d": (
        "Answers for each survey sent in the last 365 days",
        for_each(SURVEYS_ANSWERED, SURVEYS_SENT, 365),
    ),
    "review_last": ("Stars of the last review", last_stars),
    "shares_365d": (
        "Times something was shared with others in the last 365 days",
        how_many("Content Shared", days=365),
    ),
    "points_earned_84d": (
        "Loyalty points earned in the last 84 days",
        total("Points Earned", 84),
    ),
    "points_redeemed_365d": (
        "Loyalty points redeemed in the last 365 days",
        total("Points Redeemed", 365),
    ),
    "renewals_ever": ("Times a subscription was renewed", how_many("Subscription Renewed")),
    "texts_sent_28d": (
        "Text messages (SMS) sent in the last 28 days",
        how_many(*TEXTS, days=28),
    ),
    "pushes_sent_28d": (
        "Push notifications sent in the last 28 days",
        how_many(*PUSHES, days=28),
    ),
    "contacts_half_life_7d": (
        "Messages sent on any channel, each counting half as much for every 7 days of its age",
        fading(*MESSAGES, half_life=7),
    ),
    "usual_gap_days": ("Mean days between orders", usual_gap),
    "last_gap_days": ("Days between the last two orders", last_gap),
    "spend_28d": ("Money spent on orders in the last 28 days", spend(28)),
    "spend_84d": ("Money spent on orders in the last 84 days", spend(84)),
    "spend_365d": ("Money spent on orders in the last 365 days", spend(365)),
    "average_order_value_365d": (
        "Mean amount of an order in the last 365 days",
        average_order,
    ),
    "discount_share_365d": (
        "Share of the price before discount that was given as discount in the last 365 days",
        discount_share,
    ),
    "departments_365d": (
        "Different departments ordered from in the last 365 days",
        departments(365),
    ),
    "departments_84d": ("Different departments ordered from in the last 84 days", departments(84)),
    "refunds_365d": ("Refunds in the last 365 days", how_many("Order Refunded", days=365)),
    "pages_7d": ("Pages viewed in the last 7 days", how_many("Page Viewed", days=7)),
    "pages_28d": ("Pages viewed in the last 28 days", how_many("Page Viewed", days=28)),
    "days_since_last_visit": (
        "Days since the last visit to a page, a product or the app",
        since_last("Page Viewed", "Product Viewed", "Application Opened"),
    ),
    "products_viewed_7d": (
        "Products viewed in the last 7 days",
        how_many("Product Viewed", days=7),
    ),
    "days_since_product_added": (
        "Days since a product was last put in the cart",
        since_last("Product Added"),
    ),
    "days_since_checkout_started": (
        "Days since a checkout was last started",
        since_last("Checkout Started"),
    ),
    "searches_28d": (
        "Product searches in the last 28 days",
        how_many("Products Searched", days=28),
    ),
    "emails_sent_28d": ("E-mails sent in the last 28 days", how_many(*EMAILS, days=28)),
    "email_open_rate_90d": (
        "Opens for each e-mail sent in the last 90 days",
        for_each(("Email Opened",), EMAILS, 90),
    ),
    "email_click_rate_90d": (
        "Clicks for each e-mail sent in the last 90 days",
        for_each(("Email Link Clicked",), EMAILS, 90),
    ),
    "days_since_email_opened": (
        "Days since an e-mail was last opened",
        since_last("Email Opened"),
    ),
    "unsubscribes_ever": ("Times unsubscribed", how_many("Unsubscribed")),
    "app_opens_28d": (
        "Times the app was opened in the last 28 days",
        how_many("Application Opened", days=28),
    ),
    "minutes_used_28d": ("Minutes of use in the last 28 days", total("Feature Used", 28)),
    "tickets_open": ("Support tickets opened and not yet resolved", tickets_open),
    "tickets_90d": (
        "Support tickets opened in the last 90 days",
        how_many("Ticket Opened", days=90),
    ),
    "days_since_ticket_opened": (
        "Days since a support ticket was last opened",
        since_last("Ticket Opened"),
    ),
    "days_since_ticket_resolved": (
        "Days since a support ticket was last resolved",
        since_last("Ticket Resolved"),
    ),
    "nps_last": ("Last answer to 'how likely are you to recommend us' (0-10)", answer("nps")),
    "days_since_nps": (
        "Days since the last answer to 'how likely are you to recommend us'",
        since_last("Survey Answered/nps"),
    ),
    "csat_last": ("Last answer to 'how satisfied are you'", answer("csat")),
    "ces_last": ("Last answer to 'how easy was it'", answer("ces")),
    "reviews_365d": (
        "Reviews written in the last 365 days",
        how_many("Review Written", days=365),
    ),
    "referrals_365d": (
        "Friends referred in the last 365 days",
        how_many("Referral Made", days=365),
    ),
    "coupons_365d": (
        "Coupons redeemed in the last 365 days",
        how_many("Coupon Redeemed", days=365),
    ),
    "points_balance": ("Loyalty points earned and not yet redeemed", points_balance),
    "subscription_days_left": (
        "Days until the subscription, as last started or renewed, ends (negative: it has ended)",
        subscription_left,
    ),
    "days_since_subscription_started": (
        "Days since a subscription was last started",
        since_last("Subscription Started"),
    ),
    "days_since_subscription_cancelled": (
        "Days since a subscription was last cancelled",
        since_last("Subscription Cancelled"),
    ),
    "contacts_7d": (
        "Messages sent on any channel in the last 7 days",
        how_many(*MESSAGES, days=7),
    ),
    "contacts_28d": (
        "Messages sent on any channel in the last 28 days",
        how_many(*MESSAGES, days=28),
    ),
    "days_since_last_contact": (
        "Days since the last message on any channel",
        since_last(*MESSAGES),
    ),
    "tenure_days": ("Days since the first signal of any kind", tenure),
    "days_since_first_order": ("Days since the first order", since_first("Order Completed")),
    "days_since_signed_up": ("Days since the last sign-up", since_last("Signed Up")),
    "relationship_ended": (
        "Times the relationship was ended for good",
        how_many("Relationship Ended"),
    ),
}

EVENTS = (
    *("Order Completed",) * 8,  # most features speak of orders
    *("Order Shipped", "Order Delivered", "Order Refunded", "Page Viewed", "Product Viewed"),
    *("Product Added", "Checkout Started", "Products Searched", "Email Opened"),
    *("Email Link Clicked", "Unsubscribed", "Application Opened", "Feature Used"),
    *("Ticket Opened",) * 3,  # a wait needs a ticket and a reply
    *("Ticket Replied",) * 3,
    *("Ticket Resolved", "Survey Answered/nps", "Survey Answered/csat"),
    *("Survey Answered/ces", "Survey Answered", "Review Written", "Referral Made"),
    *("Coupon Redeemed", "Points Earned", "Points Redeemed", "Subscription Started"),
    *("Subscription Renewed", "Subscription Cancelled", "Signed Up", "Relationship Ended"),
    *("Something Unheard Of", "Trait Set", "Content Shared", "Push Notification Tapped"),
    *SURVEYS_SENT,
    *MESSAGES,
)
EDGES = [days * DAY + off for days in (0, 1, 7, 21, 28, 56, 84, 90, 365) for off in (-1, 0, 1)]

IN_A_MONTH = AS_OF + 30 * DAY


def fact_of(
    event: str, before: int, late: int, amount: int | None, value: int | None, place: str | None
) -> Fact:
    """Only subscriptions hold a time; sums of such numbers would leave the exact integers."""
    if value == IN_A_MONTH and not event.startswith("Subscription"):
        value = 700
    return Fact(event, AS_OF - before, AS_OF - before + late, amount, value, place)


facts = st.builds(
    fact_of,
    st.sampled_from(EVENTS),
    st.sampled_from(EDGES) | st.integers(-2 * DAY, 800 * DAY),
    st.sampled_from([0, 0, 0, 1, DAY, 40 * DAY, -DAY]),
    st.none() | st.integers(-50_000, 500_000),
    st.none() | st.integers(-5_000, 20_000) | st.just(IN_A_MONTH),
    st.none() | st.sampled_from(["dairy", "garden", "tools", "wine"]),
)
pasts = st.lists(facts, max_size=60)


def columns(past: Past) -> SignalColumns:
    past = sorted(past, key=lambda fact: fact.occurred)
    rows = [
        (
            code(fact.event),
            fact.occurred,
            fact.received,
            ABSENT if fact.amount is None else fact.amount,
            ABSENT if fact.value is None else fact.value,
            0 if fact.department is None else code(fact.department),
        )
        for fact in past
    ]
    return SignalColumns(*np.array(rows, dtype=np.int64).reshape(-1, 6).T)


def log_of(people: list[Past]) -> SignalLog:
    parts = [columns(past) for past in people]
    return SignalLog(
        tuple(f"C-{number:03}" for number in range(len(people))),
        np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.int64),
        SignalColumns(
            *(np.concatenate(six) for six in zip(*(p.columns() for p in parts), strict=True))
        ),
    )


def test_every_feature_has_its_sentence_here() -> None:
    assert {f.name: f.label for f in FEATURES.features} == {
        name: sentence for name, (sentence, _) in SENTENCES.items()
    }


@settings(max_examples=250, deadline=None)
@given(pasts)
def test_each_feature_is_what_its_sentence_says(past: Past) -> None:
    known = [fact for fact in past if fact.occurred < AS_OF and fact.received < AS_OF]
    row = feature_row(FEATURES, columns(past), AS_OF)
    expected = [SENTENCES[name][1](known) for name in FEATURES.names]
    np.testing.assert_array_equal(row, expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(pasts, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_a_batch_row_is_the_single_row_to_the_bit(people: list[Past], random: object) -> None:
    log = log_of(people)
    moments = [AS_OF, AS_OF - 7 * DAY, AS_OF + 1, AS_OF - 30 * DAY]
    pairs = [(person, moment) for person in range(len(people)) for moment in moments]
    random.shuffle(pairs)  # type: ignore[attr-defined]
    customers, as_of = np.array(pairs, dtype=np.int64).T
    batch = feature_matrix(FEATURES, log, customers, as_of)
    for row, (person, moment) in zip(batch, pairs, strict=True):
        assert row.tobytes() == feature_row(FEATURES, log.customer(person), moment).tobytes()


@settings(max_examples=100, deadline=None)
@given(pasts, st.randoms(use_true_random=False))
def test_the_order_of_simultaneous_signals_changes_no_bit(past: Past, random: object) -> None:
    shuffled = list(past)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = feature_row(FEATURES, columns(past), AS_OF)
    assert first.tobytes() == feature_row(FEATURES, columns(shuffled), AS_OF).tobytes()


@settings(max_examples=100, deadline=None)
@given(pasts)
def test_what_was_not_known_at_as_of_changes_nothing(past: Past) -> None:
    known = [fact for fact in past if fact.occurred < AS_OF and fact.received < AS_OF]
    whole = feature_row(FEATURES, columns(past), AS_OF)
    assert whole.tobytes() == feature_row(FEATURES, columns(known), AS_OF).tobytes()


def test_the_groups_in_use_are_the_closed_list() -> None:
    assert {feature.group for feature in FEATURES.features} == set(GROUPS)


def test_directions_speak_of_known_scores() -> None:
    assert {s for f in FEATURES.features for s in f.direction} <= set(SCORES)


@pytest.mark.parametrize(
    ("event", "name", "expected"),
    [
        ("Order Completed", "spend_28d", 12.5),
        ("Subscription Renewed", "subscription_days_left", -0.25),
        ("Survey Answered/nps", "nps_last", 1788220778.4),
        ("Survey Answered", "nps_last", math.nan),  # a survey of no stated kind is none of ours
    ],
)
def test_one_signal_by_hand(event: str, name: str, expected: float) -> None:
    quarter_day_ago = AS_OF - DAY // 4
    value = 1_788_220_778_400 if event.startswith("Survey") else quarter_day_ago
    fact = Fact(event, quarter_day_ago, quarter_day_ago, 1250, value, None)
    row = feature_row(FEATURES, columns([fact]), AS_OF)
    np.testing.assert_array_equal(row[FEATURES.names.index(name)], expected)
