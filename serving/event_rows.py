"""What an event says, as a row of a file: the canonical columns as text, and what is wrong."""

import json
from collections.abc import Mapping
from typing import Final

from features.intake.checks import AMOUNT_WORDS, PAID_EVENTS
from features.intake.column_words import PERSONAL_WORDS
from features.signals import ANONYMOUS_PREFIX, KEYED_BY, VALUE_SOURCE
from serving.answer import time_text
from serving.event_cells import Text, as_text, cell, is_id, is_name, moment_of, told_of_files

# What each type of Segment's items tells. `track` carries its own name. Screens are the pages of
# an app, so a visit counts the same in both.
TELLS: Final[Mapping[str, str]] = {
    "track": "",
    "identify": "Trait Set",
    "group": "Trait Set",
    "page": "Page Viewed",
    "screen": "Page Viewed",
}
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


def row_of(kind: str, item: Mapping[object, object]) -> tuple[dict[str, Text], dict[str, str]]:
    """The canonical columns as text, without times and id, and what is wrong with them."""
    reasons: dict[str, str] = {}
    said, fields = item.get("properties"), dict[str, object]()
    if isinstance(said, Mapping):
        fields = {str(key): value for key, value in said.items()}
    elif said is not None:
        reasons["properties"] = told_of_files("properties")
    event = TELLS[kind] or cell(item.get("event")) or ""
    if kind in ("identify", "group"):
        fields = _traits(item, fields)
    elif kind != "track":
        fields |= {k: item[k] for k in ("name", "category") if item.get(k) is not None}
    paid = AMOUNT_WORDS if event in PAID_EVENTS else AMOUNT_WORDS[:1]
    # A blank says nothing; and a word that is part of an event's name is kept as it was read.
    fields = {k: v for k, v in fields.items() if k not in (*paid, "currency") or cell(v)}
    keyed = KEYED_BY.get(event)
    if keyed in fields:
        fields[keyed] = as_text(fields[keyed])
    amount = next((fields[word] for word in paid if word in fields), None)
    row = {
        "customer_id": _customer_id(item),
        "event": event or None,
        "amount": cell(amount),
        "currency": cell(fields.get("currency")) if event in PAID_EVENTS or amount else None,
        "category": _category(fields),
        "channel": cell(fields.get("channel")),
        "score": cell(fields.get("score")) if event in SCORED else None,
        "communication": cell(fields.get("communication")),
        "selection_probability": cell(fields.get("selection_probability")),
    }
    for name, fits in (("customer_id", is_id), ("event", is_name)):
        if not fits(row[name] or ""):
            reasons[name] = told_of_files(name)
    if VALUE_SOURCE.get(event) == "ends_at":
        ends = moment_of(cell(fields.get("ends_at")))
        if ends is not None:
            fields["ends_at"] = time_text(ends)
    row["properties"] = json.dumps(fields, ensure_ascii=False) if fields else None
    return row, reasons


def mistyped(item: Mapping[object, object]) -> dict[str, str]:
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
    user_id = cell(item.get("userId"))
    if user_id:
        return user_id
    anonymous = cell(item.get("anonymousId"))
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
    own = cell(fields.get("category"))
    products = fields.get("products")
    if own or not isinstance(products, list) or not products:
        return own
    return cell(products[0].get("category")) if isinstance(products[0], Mapping) else None
