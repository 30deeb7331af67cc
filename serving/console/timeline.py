"""A customer's signals in words, newest first, equal ones of a day together."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from features.signals import (
    ABSENT,
    DAY,
    KEYED_BY,
    KNOWN_EVENTS,
    MINOR_UNITS,
    SURVEYS,
    THOUSANDTHS,
    VALUE_SOURCE,
    SignalColumns,
    code,
    event_key,
)
from serving.answer import time_text
from serving.console.words import money
from serving.records import CHANNELS

MOST_ENTRIES: Final = 30  # as many as a person reads; the twins hold as many

OTHER: Final = "Another signal"
SAID: Final = {
    "Order Completed": "Ordered",
    "Order Refunded": "Got money back",
    "Order Cancelled": "Cancelled an order",
    "Order Shipped": "A parcel was shipped",
    "Order Delivered": "A parcel arrived",
    "Product Viewed": "Looked at a product",
    "Products Searched": "Searched for a product",
    "Product Added": "Put a product in the cart",
    "Product Removed": "Took a product out of the cart",
    "Cart Viewed": "Looked into the cart",
    "Checkout Started": "Began to check out",
    "Payment Failed": "A payment failed",
    "Page Viewed": "Visited a page",
    "Email Sent": "We sent an e-mail",
    "Email Delivered": "An e-mail arrived",
    "Email Opened": "Opened an e-mail",
    "Email Link Clicked": "Clicked in an e-mail",
    "Email Bounced": "An e-mail bounced",
    "Email Marked as Spam": "Marked an e-mail as spam",
    "Unsubscribed": "Unsubscribed",
    "SMS Sent": "We sent a text message",
    "Push Notification Sent": "We sent a push message",
    "Push Notification Tapped": "Tapped a push message",
    "Application Opened": "Opened the app",
    "Application Installed": "Installed the app",
    "Signed Up": "Signed up",
    "Signed In": "Signed in",
    "Trait Set": "Told something about themselves",
    "Consent Given": "Gave a consent",
    "Consent Withdrawn": "Withdrew a consent",
    "Objection Raised": "Objected to marketing",
    "Ticket Opened": "Opened a support ticket",
    "Ticket Replied": "We answered a ticket",
    "Ticket Resolved": "A ticket was resolved",
    "Survey Sent": "We asked for an opinion",
    "Survey Answered": "Answered a survey",
    "Survey Answered/nps": "Answered whether they would recommend us",
    "Survey Answered/csat": "Answered how satisfied they are",
    "Survey Answered/ces": "Answered how easy it was",
    "Review Written": "Wrote a review",
    "Referral Made": "Referred a friend",
    "Content Shared": "Shared something of ours",
    "Points Earned": "Earned points",
    "Points Redeemed": "Redeemed points",
    "Subscription Started": "Started a subscription",
    "Subscription Renewed": "Renewed the subscription",
    "Subscription Cancelled": "Cancelled the subscription",
    "Feature Used": "Used the product",
    "Communication Sent": "We sent a message",
    "Call Made": "We called",
    "Letter Sent": "We sent a letter",
    "Coupon Redeemed": "Redeemed a coupon",
    "Decision Made": "A communication was chosen",
    "Relationship Ended": "Ended the relationship",
}
OURS: Final = ("We ", "A communication", "A ticket was", "A parcel", "An e-mail")


@dataclass(frozen=True, slots=True)
class Entry:
    """Equal signals of one day.

    Attributes
    ----------
    day : str
        Such as ``2026-10-31``.
    at : str
        The latest of them, RFC 3339.
    ours : bool
        Whether the company did it, or the customer.
    """

    day: str
    at: str
    text: str
    count: int
    ours: bool


def timeline(
    signals: SignalColumns, as_of: int, currency: str, most: int = MOST_ENTRIES
) -> tuple[Entry, ...]:
    """The latest that was known at `as_of`, newest first.

    Parameters
    ----------
    as_of : int
        Microseconds UTC; signals of that moment or later, or received so, are left out.
    most : int
        Entries at most.
    """
    known = np.flatnonzero((signals.occurred_at < as_of) & (signals.received_at < as_of))
    order = known[np.lexsort((signals.event[known], signals.occurred_at[known]))][::-1]
    found: dict[tuple[int, str], Entry] = {}
    for i in order:
        at, text = int(signals.occurred_at[i]), said(signals, int(i), currency)
        place = (at // DAY, text)
        if place in found:
            seen = found[place]
            found[place] = Entry(seen.day, seen.at, text, seen.count + 1, seen.ours)
        elif len(found) == most:
            break
        else:
            moment = time_text(at)
            found[place] = Entry(moment[:10], moment, text, 1, text.startswith(OURS))
    return tuple(found.values())


def said(signals: SignalColumns, i: int, currency: str) -> str:
    """One signal in words, with its number where it has one."""
    name = event_names().get(int(signals.event[i]), "")
    event, _, word = name.partition("/")
    text = SAID.get(name) or SAID.get(event, event or OTHER)
    if event in ("Survey Sent", "Communication Sent") and word:
        text += f" ({word.upper() if word in SURVEYS else word})"
    amount, value = int(signals.amount[i]), int(signals.value[i])
    if event in ("Order Completed", "Order Refunded") and amount != ABSENT:
        return f"{text}: {money(amount / MINOR_UNITS, currency)}"
    if value == ABSENT:
        return text
    source = VALUE_SOURCE.get(event)
    if source == "score":
        return f"{text}: {value / THOUSANDTHS:g}"
    if source == "points":
        return f"{text}: {value:,}"
    return text


@lru_cache(maxsize=1)
def event_names() -> dict[int, str]:
    """Names of the events we know, by the code that stands for them in the store."""
    words = (*SURVEYS, *CHANNELS)
    keys = {event_key(event, word) for event in KEYED_BY for word in words} | KNOWN_EVENTS
    return {code(key): key for key in keys}
