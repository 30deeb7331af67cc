"""Events as Segment's libraries send them, turned into signals one by one.

An item that makes no sense is put aside with its reasons and never stops the others. The checks
are those of files, in the same words; `tests/serving/test_events.py` compares the two.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.consent import CONSENT_EVENTS, ConsentChange, consent_change
from features.intake.checks import CLOCK_TOLERANCE
from features.signals import (
    ABSENT,
    COMMUNICATION_SENT,
    SignalColumns,
    code,
    event_key,
)
from serving.answer import time_text
from serving.event_cells import Text, cell, is_id, moment_of, told_of_files
from serving.event_notes import notes
from serving.event_numbers import Numbers, numbers_of
from serving.event_rows import TELLS, mistyped, row_of
from serving.wire import Unreadable

LONGEST_ITEM: Final = 32 * 1024  # bytes; Segment's own limit
_NOT_STORED: Final = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a batch before its items are read. Times in microseconds UTC.

    Attributes
    ----------
    received_at : int
        The server's time.
    sent_at : int or None
        The sender's time when it sent the batch; the two clocks should agree on it.
    currency : str
        The company's one currency.
    """

    received_at: int
    sent_at: int | None
    currency: str


@dataclass(frozen=True, slots=True)
class Received:
    """An item that tells a signal.

    Attributes
    ----------
    content : str
        Hash of what the sender said; the same message sent again has the same one.
    row : mapping of canonical column to text or None
        The signal as a row of a file.
    signal : SignalColumns
        The same one as numbers.
    consent : ConsentChange or None
        What it says about consent, if anything.
    note : str
        Something the sender should know although the item was taken.
    """

    customer_id: str
    message_id: str
    content: str
    row: Mapping[str, Text]
    signal: SignalColumns
    consent: ConsentChange | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PutAside:
    """An item that makes no sense: why, by name and in words, and how it stood."""

    message_id: str
    reasons: Mapping[str, str]
    item: str


@dataclass(frozen=True, slots=True)
class Silent:
    """An item that tells no signal."""

    message_id: str
    words: str


Item = Received | PutAside | Silent


def read_item(item: object, arrival: Arrival) -> Item:
    """One item of a batch: a signal, or why it is none.

    The moment is ``received_at - (sent_at - timestamp)`` where the batch says when it was sent,
    so a sender's wrong clock does no harm; else the item's own timestamp, else `received_at`.

    Source: Segment Spec, common fields: `timestamp`, `originalTimestamp`, `sentAt`.
    """
    stood = _as_it_stood(item)
    if not isinstance(item, Mapping):
        return PutAside("", {"item": "an item is no JSON object; send {...} each"}, stood)
    given = _said_id(item)
    shown_id = given if is_id(given) else ""
    unstorable = _unstorable(item, stood)
    if unstorable:
        return PutAside(shown_id, unstorable, stood)
    kind = str(item.get("type") or "").lower()
    if kind == "alias":
        return Silent(
            shown_id, "identities are not joined here; send later events under one userId"
        )
    if kind not in TELLS:
        words = f"the type is none of {', '.join((*TELLS, 'alias'))}"
        return PutAside(shown_id, {"type": words}, stood)
    row, reasons = row_of(kind, item)
    moments, late = _moments(item, arrival)
    numbers, wrong = numbers_of(row, arrival.currency)
    reasons |= late | wrong
    content = _content(row, item, arrival)
    message_id = given or f"sha256:{content}"
    if not is_id(message_id):
        reasons["message_id"] = told_of_files("message_id")
    reasons |= mistyped(item)
    if reasons or moments is None:
        return PutAside(shown_id, reasons, stood)
    row |= {
        "message_id": message_id,
        "occurred_at": time_text(moments[0]),
        "received_at": time_text(moments[1]),
    }
    return _received(row, moments, numbers, content, "; ".join(notes(kind, item, row)))


def _said_id(item: Mapping[object, object]) -> str:
    """The sender's own id of the message; empty if it is none, or no text."""
    given = item.get("messageId")
    return (cell(given) or "") if isinstance(given, str) else ""


def _moments(
    item: Mapping[object, object], arrival: Arrival
) -> tuple[tuple[int, int] | None, dict[str, str]]:
    """When it occurred and was received, or what is wrong with the time."""
    stamp = _stamp(item)
    received_at = arrival.received_at
    if stamp is None:
        return (received_at, received_at), {}
    occurred_at = moment_of(stamp)
    if occurred_at is None:
        words = "the timestamp is no time; write 2026-03-31T18:05:00Z, or leave it out"
        return None, {"occurred_at": words}
    sent_at = moment_of(cell(item.get("sentAt"))) or arrival.sent_at
    if sent_at is not None:
        occurred_at += received_at - sent_at
    if occurred_at < 0:
        return None, {"before_1970": told_of_files("before_1970")}
    if occurred_at > received_at + CLOCK_TOLERANCE:
        words = (
            "it occurred more than 5 minutes after it was received; plans are no signals: "
            "correct the timestamp"
        )
        return None, {"future": words}
    return (occurred_at, received_at), {}


def _stamp(item: Mapping[object, object]) -> Text:
    return cell(item.get("originalTimestamp")) or cell(item.get("timestamp"))


def _content(row: Mapping[str, Text], item: Mapping[object, object], arrival: Arrival) -> str:
    """Hash of what was said.

    When it was sent and arrived is no part of it, so that the same message sent again is known.
    With neither a time nor an id of its own, its arrival is all that tells it apart.
    """
    arrived = "" if cell(item.get("messageId")) else str(arrival.received_at)
    said = [_stamp(item) or arrived, *sorted(row.items(), key=str)]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def _received(
    row: Mapping[str, Text], moments: tuple[int, int], numbers: Numbers, content: str, note: str
) -> Received:
    event, customer_id = row["event"] or "", row["customer_id"] or ""
    message_id = row["message_id"] or ""
    about = row["communication"] if event == COMMUNICATION_SENT else row["category"]
    columns = (
        code(event_key(event, numbers.word)),
        *moments,
        ABSENT if numbers.amount is None else numbers.amount,
        ABSENT if numbers.value is None else numbers.value,
        code(about) if about else 0,
    )
    consent = None
    if event in CONSENT_EVENTS:
        said = (row["channel"], row["properties"], message_id)
        consent = consent_change(customer_id, event, *said, *moments)
    return Received(
        customer_id,
        message_id,
        content,
        row,
        SignalColumns(*(np.array([column], dtype=np.int64) for column in columns)),
        consent,
        note,
    )


def _as_it_stood(item: object) -> str:
    text = json.dumps(item, ensure_ascii=False, default=lambda unreadable: str(unreadable))
    return _NOT_STORED.sub("\N{REPLACEMENT CHARACTER}", text)[:LONGEST_ITEM]


def _unstorable(item: Mapping[object, object], stood: str) -> dict[str, str]:
    """Why the item cannot even be looked at."""
    if len(stood.encode()) > LONGEST_ITEM or len(stood) == LONGEST_ITEM:
        return {"size": f"the item is longer than {LONGEST_ITEM} bytes; send less with it"}
    waiting: list[object] = [item]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Unreadable):
            return {"json": value.words}
        if isinstance(value, str) and _NOT_STORED.search(value):
            return {"text": "a text holds a NUL or half of a surrogate pair; leave it out"}
        if isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
    return {}
