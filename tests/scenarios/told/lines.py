"""One line of a story, such as ``2 hours ago: Product Added``, as the item that a shop sends."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from features.signals import ANONYMOUS_PREFIX, DAY, HOUR, KNOWN_EVENTS, MINUTE, SECOND
from serving.answer import time_text

UNITS = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY}
# What stands after an event without a name of its own, in this order.
PLAIN = {
    "Order Completed": ("amount",),
    "Order Refunded": ("amount",),
    "Survey Sent": ("kind",),
    "Survey Answered": ("kind", "score"),
    "Review Written": ("score",),
    "Communication Sent": ("channel", "communication"),
    "Consent Given": ("channel", "purpose"),
    "Consent Withdrawn": ("channel", "purpose"),
    "Points Earned": ("points",),
    "Points Redeemed": ("points",),
    "Feature Used": ("minutes",),
}
NUMBERS = ("points", "minutes")
_EVENTS = sorted(KNOWN_EVENTS, key=len, reverse=True)
_LENGTH = re.compile(r"(\d+) (second|minute|hour|day|week)s?")
_EVERY = re.compile(r"every (\d+) (minute|hour|day|week)s? from (.+?) until (.+)")


class UnreadableLine(ValueError):
    """A line that tells no signal."""


@dataclass(frozen=True, slots=True)
class Line:
    """A signal of the story. Microseconds UTC."""

    customer_id: str
    heard_at: int
    item: dict[str, Any]


def length_of(text: str) -> int:
    """``1 day 2 hours`` in microseconds."""
    parts = _LENGTH.findall(text)
    if not parts or _LENGTH.sub("", text).strip():
        raise UnreadableLine(f"'{text}' is no length of time; write '2 hours' or '1 day 2 hours'")
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def moment_of(text: str, now: int) -> int:
    """``now``, ``2 hours ago``, ``in 3 days`` or ``2026-11-04 22:30`` (UTC)."""
    text = text.strip()
    if text == "now":
        return now
    if text.endswith(" ago"):
        return now - length_of(text.removesuffix(" ago"))
    if text.startswith("in "):
        return now + length_of(text.removeprefix("in "))
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND
    except ValueError as error:
        raise UnreadableLine(
            f"'{text}' is no moment; write 'now', '2 hours ago', 'in 3 days' or '2026-11-04 22:30'"
        ) from error


def lines_of(text: str, customer_id: str, now: int) -> Iterator[Line]:
    """The signals that a line tells: one, or one each time for ``every 14 days from ... until``."""
    when, colon, told = text.partition(": ")
    if not colon:
        raise UnreadableLine(f"'{text}' has no ': '; write '2 hours ago: Product Added'")
    when, _, heard = when.partition(", heard ")
    for at in _moments(when, now):
        heard_at = moment_of(heard, now) if heard else at
        yield Line(customer_id, heard_at, _item(told, customer_id, at, now))


def _moments(when: str, now: int) -> Iterator[int]:
    every = _EVERY.fullmatch(when)
    if every is None:
        yield moment_of(when, now)
        return
    number, unit, first, last = every.groups()
    yield from range(moment_of(first, now), moment_of(last, now) + 1, int(number) * UNITS[unit])


def _item(told: str, customer_id: str, at: int, now: int) -> dict[str, Any]:
    """The item as Segment's libraries send it."""
    anonymous = customer_id.startswith(ANONYMOUS_PREFIX)
    event = next((e for e in _EVENTS if told == e or told.startswith((e + " ", e + ","))), None)
    if event is None:
        raise UnreadableLine(f"'{told}' begins with no event that is known")
    said = told.removeprefix(event).strip(" ,")
    fields: dict[str, Any] = {}
    said, ends, when = said.partition("ends ")
    if ends:
        fields["ends_at"] = time_text(moment_of(when, now))
    positions = iter(PLAIN.get(event, ()))
    for word in said.strip(" ,").split():
        name, equals, value = word.partition("=")
        if not equals:
            name, value = next(positions, ""), word
        if not name:
            raise UnreadableLine(f"'{told}': what is '{word}'? Write name=value")
        fields[name] = int(value) if name in NUMBERS else value
    if "amount" in fields:
        fields["currency"] = "EUR"
    if event == "Consent Given":
        fields = {"purpose": "marketing", "evidence": "form at the desk"} | fields
    item: dict[str, Any] = {
        "type": "track",
        "event": event,
        "timestamp": time_text(at),
        ("anonymousId" if anonymous else "userId"): customer_id,
        "properties": fields,
    }
    if event == "Trait Set":
        del item["event"], item["properties"]
        item |= {"type": "identify", "traits": fields}
    return item
