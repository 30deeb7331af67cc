"""Events as Segment's libraries send them, turned into signals one by one.

An item that makes no sense is put aside with its reasons and never stops the others. The checks
are those of files, in the same words; `tests/serving/test_events.py` compares the two.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from features.consent import CONSENT_EVENTS, ConsentChange, consent_change
from features.intake.checks import (
    AMOUNT_WORDS,
    CLOCK_TOLERANCE,
    MINOR_DIGITS,
    PAID_EVENTS,
    SURVEY_KINDS,
    checks,
)
from features.intake.column_words import PERSONAL_WORDS
from features.machines import machine_word
from features.signals import (
    ABSENT,
    ANONYMOUS_PREFIX,
    COMMUNICATION_SENT,
    CUSTOMER_ID_PATTERN,
    KEYED_BY,
    KNOWN_EVENTS,
    VALUE_SOURCE,
    SignalColumns,
    code,
    event_key,
)
from serving.answer import EPOCH, time_text
from serving.wire import Unreadable

# What each type of Segment's items tells. `track` carries its own name. Screens are the pages of
# an app, so a visit counts the same in both.
TELLS: Final[Mapping[str, str]] = {
    "track": "",
    "identify": "Trait Set",
    "group": "Trait Set",
    "page": "Page Viewed",
    "screen": "Page Viewed",
}
LONGEST_ITEM: Final = 32 * 1024  # bytes; Segment's own limit
SCORED: Final = ("Survey Answered", "Review Written")
# What is a text and nothing else, and the reason to put an item aside where it is not: a name or
# an id made of `true` or {"a": 1} would be one that nobody meant.
TEXTS: Final[Mapping[str, str]] = {
    "event": "event",
    "userId": "customer_id",
    "anonymousId": "customer_id",
    "messageId": "message_id",
    "timestamp": "occurred_at",
    "originalTimestamp": "occurred_at",
    "sentAt": "occurred_at",
}
TEXT_PROPERTIES: Final = ("channel", "communication", "currency", "kind", "purpose")

_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]+)?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}(\.0+)?")
_PROBABILITY: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_STORED: Final = re.compile(r"[\x00\ud800-\udfff]")
_ID: Final = re.compile(CUSTOMER_ID_PATTERN)

Text = str | None


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
    shown_id = given if _ID.fullmatch(given) else ""
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
    row, reasons = _row(kind, item)
    moments, late = _moments(item, arrival)
    numbers, wrong = _numbers(row, arrival.currency)
    reasons |= late | wrong
    content = _content(row, item, arrival)
    message_id = given or f"sha256:{content}"
    if not _ID.fullmatch(message_id):
        reasons["message_id"] = _words("message_id")
    reasons |= _mistyped(item)
    if reasons or moments is None:
        return PutAside(shown_id, reasons, stood)
    row |= {
        "message_id": message_id,
        "occurred_at": time_text(moments[0]),
        "received_at": time_text(moments[1]),
    }
    return _received(row, moments, numbers, content)


def _said_id(item: Mapping[object, object]) -> str:
    """The sender's own id of the message; empty if it is none, or no text."""
    given = item.get("messageId")
    return (_text(given) or "") if isinstance(given, str) else ""


def moment_of(text: Text) -> int | None:
    """Microseconds UTC of an ISO 8601 time; None where it is none. Without a zone: UTC."""
    try:
        found = datetime.fromisoformat(text or "")
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (found - EPOCH) // timedelta(microseconds=1)


def scaled(text: Text, digits: int) -> int | None:
    """A decimal text as a whole number of 10^-digits; None where it has more decimals."""
    if text is None or not _DECIMAL.fullmatch(text):
        return None
    # The shortest form: 2.50 and 2.500 are the same amount.
    number = Decimal(text).scaleb(digits)
    return int(number) if number == number.to_integral_value() else None


# ---- What an item says -------------------------------------------------------------------


def _row(kind: str, item: Mapping[object, object]) -> tuple[dict[str, Text], dict[str, str]]:
    """The canonical columns as text, without times and id, and what is wrong with them."""
    reasons: dict[str, str] = {}
    said, fields = item.get("properties"), dict[str, object]()
    if isinstance(said, Mapping):
        fields = {str(key): value for key, value in said.items()}
    elif said is not None:
        reasons["properties"] = _words("properties")
    event = TELLS[kind] or _text(item.get("event")) or ""
    if kind in ("identify", "group"):
        fields = _traits(item, fields)
    elif kind != "track":
        fields |= {k: item[k] for k in ("name", "category") if item.get(k) is not None}
    words = AMOUNT_WORDS if event in PAID_EVENTS else AMOUNT_WORDS[:1]
    # A blank says nothing; and a word that is part of an event's name is kept as it was read.
    fields = {k: v for k, v in fields.items() if k not in (*words, "currency") or _text(v)}
    keyed = KEYED_BY.get(event)
    if keyed in fields:
        fields[keyed] = _plain(fields[keyed])
    amount = next((fields[word] for word in words if word in fields), None)
    row = {
        "customer_id": _customer_id(item),
        "event": event or None,
        "amount": _text(amount),
        "currency": _text(fields.get("currency")) if event in PAID_EVENTS or amount else None,
        "category": _category(fields),
        "channel": _text(fields.get("channel")),
        "score": _text(fields.get("score")) if event in SCORED else None,
        "communication": _text(fields.get("communication")),
        "selection_probability": _text(fields.get("selection_probability")),
    }
    for name in ("customer_id", "event"):
        text = row[name] or ""
        fits = _ID.fullmatch(text) if name == "customer_id" else _is_name(text)
        if not fits:
            reasons[name] = _words(name)
    if VALUE_SOURCE.get(event) == "ends_at":
        ends = moment_of(_text(fields.get("ends_at")))
        if ends is not None:
            fields["ends_at"] = time_text(ends)
    row["properties"] = json.dumps(fields, ensure_ascii=False) if fields else None
    return row, reasons


def _mistyped(item: Mapping[object, object]) -> dict[str, str]:
    """What should be a text and is something else, by the reason for which an item is put aside."""
    properties = item.get("properties")
    inner = properties if isinstance(properties, Mapping) else {}
    found = [(field, item.get(field), reason) for field, reason in TEXTS.items()]
    found += [(f"properties.{field}", inner.get(field), field) for field in TEXT_PROPERTIES]
    return {
        reason: f"{field} is {_kind_of(value)}; must be a text; send it in quotes, or leave it out"
        for field, value, reason in found
        if value is not None and not isinstance(value, str)
    }


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def _customer_id(item: Mapping[object, object]) -> Text:
    """The userId; a visitor's anonymousId under the prefix that says so."""
    user_id = _text(item.get("userId"))
    if user_id:
        return user_id
    anonymous = _text(item.get("anonymousId"))
    if not anonymous:
        return None
    return ANONYMOUS_PREFIX + anonymous.removeprefix(ANONYMOUS_PREFIX)


def _traits(item: Mapping[object, object], fields: dict[str, object]) -> dict[str, object]:
    """Traits without those that say who somebody is or how to reach them: no model needs them."""
    traits = item.get("traits")
    kept = {
        str(name): value
        for name, value in (traits.items() if isinstance(traits, Mapping) else ())
        if not any(word in str(name).lower() for word in PERSONAL_WORDS)
    }
    group = {"group_id": item["groupId"]} if item.get("groupId") is not None else {}
    return fields | group | ({"traits": kept} if kept else {})


def _category(fields: Mapping[str, object]) -> Text:
    """The item's category, else that of the first product of an order."""
    own = _text(fields.get("category"))
    products = fields.get("products")
    if own or not isinstance(products, list) or not products:
        return own
    return _text(products[0].get("category")) if isinstance(products[0], Mapping) else None


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
    sent_at = moment_of(_text(item.get("sentAt"))) or arrival.sent_at
    if sent_at is not None:
        occurred_at += received_at - sent_at
    if occurred_at < 0:
        return None, {"before_1970": _words("before_1970")}
    if occurred_at > received_at + CLOCK_TOLERANCE:
        words = (
            "it occurred more than 5 minutes after it was received; plans are no signals: "
            "correct the timestamp"
        )
        return None, {"future": words}
    return (occurred_at, received_at), {}


def _stamp(item: Mapping[object, object]) -> Text:
    return _text(item.get("originalTimestamp")) or _text(item.get("timestamp"))


def _content(row: Mapping[str, Text], item: Mapping[object, object], arrival: Arrival) -> str:
    """Hash of what was said.

    When it was sent and arrived is no part of it, so that the same message sent again is known.
    With neither a time nor an id of its own, its arrival is all that tells it apart.
    """
    arrived = "" if _text(item.get("messageId")) else str(arrival.received_at)
    said = [_stamp(item) or arrived, *sorted(row.items(), key=str)]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


# ---- What it comes to in numbers ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Numbers:
    amount: int | None
    value: int | None
    word: Text


def _numbers(row: Mapping[str, Text], currency: str) -> tuple[_Numbers, dict[str, str]]:
    """Amount, value and the word that belongs to the event's name; what is wrong with them."""
    event, fields = row["event"] or "", json.loads(row["properties"] or "{}")
    keyed = KEYED_BY.get(event)
    # The word is compared as it stands: blanks around it make another event.
    word = machine_word(event, row["properties"])
    if keyed is not None:
        word = row[keyed] if keyed in row else _plain(fields.get(keyed))
    amount, score = scaled(row["amount"], MINOR_DIGITS), scaled(row["score"], 3)
    source = VALUE_SOURCE.get(event)
    given: object = None
    value: int | None = None
    if source == "discount":
        given = _plain(fields.get("discount"))
        value = scaled(given, MINOR_DIGITS)
    elif source == "ends_at":
        given = _plain(fields.get("ends_at"))
        value = moment_of(given)
    elif source == "score":
        value = score
    elif source is not None:
        given = next(
            (text for w in ("points", "minutes") if (text := _plain(fields.get(w))) is not None),
            None,
        )
        value = int(Decimal(given)) if given is not None and _WHOLE.fullmatch(given) else None
    probability = row["selection_probability"]
    bad = {
        "amount": row["amount"] is not None and not _DECIMAL.fullmatch(row["amount"]),
        "amount_decimals": (
            row["amount"] is not None and bool(_DECIMAL.fullmatch(row["amount"])) and amount is None
        ),
        "negative": event == "Order Completed" and amount is not None and amount < 0,
        "currency": row["currency"] is not None and row["currency"].upper() != currency,
        "discount": source == "discount" and given is not None and value is None,
        "score": row["score"] is not None and score is None,
        "no_score": event in SCORED and row["score"] is None,
        "survey_kind": event == "Survey Answered" and word not in SURVEY_KINDS,
        "nps_range": (
            event == "Survey Answered"
            and word == "nps"
            and score is not None
            and not 0 <= score <= 10_000
        ),
        "whole": source in ("points", "minutes") and given is not None and value is None,
        "ends_at": source == "ends_at" and given is not None and value is None,
        "selection_probability": probability is not None and not _is_probability(probability),
        "decision": (
            event == "Decision Made" and (row["communication"] is None or probability is None)
        ),
        "sent_channel": event == "Communication Sent" and word is None,
        "consent": (
            event == "Consent Given"
            and (row["channel"] is None or _plain(fields.get("purpose")) is None)
        ),
    }
    return _Numbers(amount, value, word), {
        name: _words(name, currency) for name in bad if bad[name]
    }


def _received(
    row: Mapping[str, Text], moments: tuple[int, int], numbers: _Numbers, content: str
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
        "" if event in KNOWN_EVENTS else "kept, but no feature sees an event of this name",
    )


# ---- Small questions ---------------------------------------------------------------------


def _words(name: str, currency: str = "") -> str:
    """What files are told about the same mistake."""
    return checks(currency, None)[name].words


def _is_name(text: str) -> bool:
    return bool(text) and len(text) <= 128 and not _CONTROL.search(text)


def _is_probability(text: str) -> bool:
    return bool(_PROBABILITY.fullmatch(text)) and 0 <= float(text) <= 1


def _text(value: object) -> Text:
    """A value as the cell of a file would hold it: trimmed, and nothing where it is empty."""
    plain = _plain(value)
    return None if plain is None else plain.strip(" ") or None


def _plain(value: object) -> Text:
    """A JSON value as text, as it stands."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


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
