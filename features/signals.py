"""The signal contract: event names, columns and the arrays that hold them.

A signal is one timestamped fact about a customer. It counts at `as_of` only if
``occurred_at < as_of`` and ``received_at < as_of``. All times are int64
microseconds since 1970-01-01 UTC.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

SECOND: Final = 1_000_000  # microseconds: the unit of every time in this project
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

CANONICAL_COLUMNS: Final = (
    "message_id",
    "customer_id",
    "event",
    "occurred_at",
    "received_at",
    "amount",
    "currency",
    "category",
    "channel",
    "score",
    "communication",
    "selection_probability",
    "properties",
)
REQUIRED_COLUMNS: Final = ("customer_id", "event", "occurred_at")
CUSTOMER_ID_PATTERN: Final = r"[A-Za-z0-9_.:@-]{1,128}"
ANONYMOUS_PREFIX: Final = "anon:"  # an id that begins so belongs to a visitor, never to a person

# The one integer that stands for "no number here" in `amount` and `value`. It is the smallest
# int64, so no real amount can be mistaken for it.
ABSENT: Final = -(2**63)

# Currencies with two decimals (EUR, USD, GBP ...). Others would need their own number here.
MINOR_UNITS: Final = 100
THOUSANDTHS: Final = 1000  # scores are kept as thousandths

# What the integer column `value` holds, by event. Times are microseconds, scores thousandths
# (4.5 stars -> 4500), discounts minor currency units, all else whole numbers.
VALUE_SOURCE: Final[Mapping[str, str]] = {
    "Order Completed": "discount",
    "Survey Answered": "score",
    "Review Written": "score",
    "Points Earned": "points",
    "Points Redeemed": "points",
    "Subscription Started": "ends_at",
    "Subscription Renewed": "ends_at",
    "Subscription Cancelled": "ends_at",
    "Feature Used": "minutes",
}

# Events whose meaning depends on one more word: the word joins the name after a slash, so that
# `Survey Answered/nps` is an event of its own for every feature. The word is a property,
# except `channel` and `communication`, which are columns.
KEYED_BY: Final[Mapping[str, str]] = {
    "Survey Sent": "kind",
    "Survey Answered": "kind",
    "Communication Sent": "channel",
}

COMMUNICATION_SENT: Final = "Communication Sent"
SURVEYS: Final = ("nps", "csat", "ces")  # kinds of survey that features know

# Events that a machine may have caused in a person's place. If it did, the key says so after the
# slash: `Email Opened/machine`; see `features.machines`.
BY_MACHINE: Final = ("Email Opened", "Email Link Clicked")
MACHINE: Final = "machine"

# Ways to reach a customer; contract section 4 closes the list.
CHANNELS: Final = ("email", "sms", "push", "inapp", "chat", "call", "post")

# A message that reached out to the customer, by anybody, and the channel it used.
# `Communication Sent/<channel>` belongs here too, by its key.
CONTACT_EVENTS: Final[Mapping[str, str]] = {
    "Email Sent": "email",
    "SMS Sent": "sms",
    "Push Notification Sent": "push",
    "Call Made": "call",
    "Letter Sent": "post",
    "Communication Sent/email": "email",
    "Communication Sent/sms": "sms",
    "Communication Sent/push": "push",
    "Communication Sent/call": "call",
    "Communication Sent/post": "post",
    "Communication Sent/inapp": "inapp",
    "Communication Sent/chat": "chat",
}

KNOWN_EVENTS: Final = frozenset(
    {
        # Segment Spec: e-commerce, e-mail, mobile, B2B
        "Order Completed",
        "Order Refunded",
        "Order Cancelled",
        "Order Shipped",
        "Order Delivered",
        "Product Viewed",
        "Products Searched",
        "Product Added",
        "Product Removed",
        "Cart Viewed",
        "Checkout Started",
        "Payment Failed",
        "Page Viewed",
        "Email Sent",
        "Email Delivered",
        "Email Opened",
        "Email Link Clicked",
        "Email Bounced",
        "Email Marked as Spam",
        "Unsubscribed",
        "SMS Sent",
        "Push Notification Sent",
        "Push Notification Tapped",
        "Application Opened",
        "Application Installed",
        "Signed Up",
        "Signed In",
        "Trial Started",
        "Trial Ended",
        "Chat Opened",
        # ours, where Segment has no word
        "Trait Set",
        "Consent Given",
        "Consent Withdrawn",
        "Objection Raised",
        "Objection Withdrawn",
        "Ticket Opened",
        "Ticket Replied",
        "Ticket Resolved",
        "Survey Sent",
        "Survey Answered",
        "Review Written",
        "Referral Made",
        "Content Shared",
        "Points Earned",
        "Points Redeemed",
        "Subscription Started",
        "Subscription Renewed",
        "Subscription Cancelled",
        "Feature Used",
        "Communication Sent",
        "Call Made",
        "Letter Sent",
        "Coupon Redeemed",
        "Decision Made",
        "Relationship Ended",
    }
)


@lru_cache(maxsize=65_536)
def code(text: str) -> int:
    """Stable 64-bit code of a name: equal names, equal codes, on every machine.

    A dictionary of names would have to be kept beside every file; a hash needs no keeping.
    With a million names the chance that any two share a code is about 3e-8.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def event_key(event: str, word: str | None) -> str:
    """Name under which features see an event: ``Survey Answered/nps``."""
    return f"{event}/{word}" if word and (event in KEYED_BY or event in BY_MACHINE) else event


def is_anonymous(customer_id: str) -> bool:
    """Whether an id belongs to a visitor who has not been identified."""
    return customer_id.startswith(ANONYMOUS_PREFIX)


@dataclass(frozen=True, slots=True)
class SignalColumns:
    """Signals as columns, each of shape (n_signals,), int64.

    `event` and `category` hold `code()` of the event key and of the category (0: none); of a
    `COMMUNICATION_SENT` the category is the communication that was sent.
    `amount` minor currency units and `value` what `VALUE_SOURCE` says (`ABSENT`: none).
    """

    event: Int64Array
    occurred_at: Int64Array
    received_at: Int64Array
    amount: Int64Array
    value: Int64Array
    category: Int64Array

    def __len__(self) -> int:
        return len(self.event)

    def part(self, start: int, stop: int) -> "SignalColumns":
        """Signals `start` to `stop`, as views."""
        return SignalColumns(*(column[start:stop] for column in self.columns()))

    def columns(self) -> tuple[Int64Array, ...]:
        """All six columns, in the order of the fields."""
        return (
            self.event,
            self.occurred_at,
            self.received_at,
            self.amount,
            self.value,
            self.category,
        )


EMPTY: Final = SignalColumns(*(np.empty(0, dtype=np.int64) for _ in range(6)))


@dataclass(frozen=True, slots=True)
class SignalLog:
    """The signals of many customers, sorted by (customer_id, occurred_at).

    Customer `i` owns the signals ``starts[i]:starts[i + 1]``.

    Attributes
    ----------
    customer_ids : tuple of str, length n_customers, ascending
    starts : ndarray of int64, shape (n_customers + 1,)
    columns : SignalColumns
    """

    customer_ids: tuple[str, ...]
    starts: Int64Array
    columns: SignalColumns

    def __len__(self) -> int:
        return len(self.customer_ids)

    def customer(self, index: int) -> SignalColumns:
        """Signals of the customer at `index`, as views."""
        return self.columns.part(int(self.starts[index]), int(self.starts[index + 1]))

    def owners(self) -> Int64Array:
        """Whose each signal is: index of the customer, shape (n_signals,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.starts))

    def identified(self) -> NDArray[np.bool_]:
        """Who is a customer and no anonymous visitor, shape (n_customers,)."""
        return np.array([not is_anonymous(name) for name in self.customer_ids], dtype=np.bool_)


def date_of(moment: int) -> str:
    """The day of a moment (microseconds UTC), as in 2026-10-31."""
    return str(np.datetime64(moment // DAY, "D"))


def pack(signals: SignalColumns) -> bytes:
    """One customer's signals as bytes: what the online store keeps."""
    return np.stack(signals.columns()).astype("<i8").tobytes()


def unpack(packed: bytes) -> SignalColumns:
    """Inverse of `pack`.

    Raises
    ------
    ValueError
        If the bytes are not six equally long columns.
    """
    if len(packed) % (6 * 8):
        raise ValueError(
            f"packed signals are {len(packed)} bytes long; must be a multiple of 48 "
            "(six int64 columns); run `nextbest ingest` again to rebuild them"
        )
    return SignalColumns(*np.frombuffer(packed, dtype="<i8").reshape(6, -1).astype(np.int64))
