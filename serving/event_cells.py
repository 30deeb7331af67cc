"""A value of an event as the cell of a file would hold it, and what a cell says."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from features.intake.checks import checks
from features.signals import CUSTOMER_ID_PATTERN
from serving.answer import EPOCH

_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]+)?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ID: Final = re.compile(CUSTOMER_ID_PATTERN)

Text = str | None


def cell(value: object) -> Text:
    """A value as the cell of a file would hold it: trimmed, and nothing where it is empty."""
    found = as_text(value)
    return None if found is None else found.strip(" ") or None


def as_text(value: object) -> Text:
    """A JSON value as text, as it stands."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def moment_of(text: Text) -> int | None:
    """Microseconds UTC of an ISO 8601 time; None where it is none. Without a zone: UTC."""
    try:
        found = datetime.fromisoformat(text or "")
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (found - EPOCH) // timedelta(microseconds=1)


def is_decimal(text: Text) -> bool:
    """Whether it is a number as a person would write it, with a point or without."""
    return text is not None and _DECIMAL.fullmatch(text) is not None


def scaled(text: Text, digits: int) -> int | None:
    """A decimal text as a whole number of 10^-digits; None where it has more decimals."""
    if text is None or not is_decimal(text):
        return None
    # The shortest form: 2.50 and 2.500 are the same amount.
    number = Decimal(text).scaleb(digits)
    return int(number) if number == number.to_integral_value() else None


def is_id(text: str) -> bool:
    """Whether it can name a customer or a message."""
    return _ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether it can name an event."""
    return bool(text) and len(text) <= 128 and not _CONTROL.search(text)


def told_of_files(mistake: str, currency: str = "") -> str:
    """What files are told about the same mistake."""
    return checks(currency, None)[mistake].words
