"""Guesses about a file's columns, from their names and their values."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from features.intake.column_words import FILE_WORDS, NO, PERSONAL_WORDS, ROLES, YES
from features.intake.mapping import ISO

_DATE: Final = re.compile(
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})(?:([T ])(\d{1,2}):(\d{2})(:\d{2})?)?"
)
_ISO: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?"
)
_NUMBER: Final = re.compile(r"[+-]?[€$£ ]?\d[\d.,' ]*\s?(€|\$|£|EUR|USD|GBP|CHF)?")
# Nine in ten values must agree; a file with one slip in ten is told, not guessed around.
_MOST: Final = 0.9


@dataclass(frozen=True, slots=True)
class Column:
    """What a column seems to hold.

    Attributes
    ----------
    kind : str
        ``time``, ``number``, ``yes_no``, ``text`` or ``empty``.
    time_formats : tuple of str
        Formats found among its values, most frequent first.
    ambiguous : bool
        A date whose values fit day-first and month-first alike.
    clock : bool
        Whether its times have hours but no zone.
    decimal : str
        ``,`` or ``.``; empty: no decimals seen, or not to be told.
    distinct : int
        Number of different values.
    filled : int
        Number of values.
    """

    name: str
    kind: str
    time_formats: tuple[str, ...] = ()
    ambiguous: bool = False
    clock: bool = False
    decimal: str = ""
    distinct: int = 0
    filled: int = 0
    values: tuple[str, ...] = ()


def column(name: str, values: Sequence[str]) -> Column:
    """What a column holds, judged by its values (empty cells left out)."""
    if not values:
        return Column(name, "empty")
    distinct = len(set(values))
    few = tuple(sorted(set(values))[:40])
    seen = {value.lower() for value in few}
    if distinct <= len(few) and seen <= {*YES, *NO} and seen & set(YES):
        return Column(name, "yes_no", distinct=distinct, filled=len(values), values=few)
    formats, ambiguous = _time_formats(values)
    if formats:
        clock = any(f == ISO or "%H" in f for f in formats) and any(
            ":" in value and not re.search(r"(Z|[+-]\d{2}:?\d{2})$", value) for value in values
        )
        return Column(
            name, "time", formats, ambiguous, clock, distinct=distinct, filled=len(values)
        )
    numbers = sum(_NUMBER.fullmatch(value) is not None for value in values)
    if numbers >= _MOST * len(values):
        return Column(
            name,
            "number",
            decimal=_decimal(values),
            distinct=distinct,
            filled=len(values),
            values=few,
        )
    return Column(name, "text", distinct=distinct, filled=len(values), values=few)


def words(name: str) -> str:
    """A name as plain small words: ``Bestell-Nr.`` and ``bestellNr`` become ``bestell nr``."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    plain = unicodedata.normalize("NFKD", split.replace("ß", "ss")).encode("ascii", "ignore")
    return " ".join(re.findall(r"[a-z0-9]+", plain.decode().lower()))


def with_role(role: str, columns: Sequence[Column], kinds: tuple[str, ...] = ()) -> Column | None:
    """The column whose name fits a role best; of the given kinds, if any are given."""
    allowed = [c for c in columns if c.kind != "empty" and (not kinds or c.kind in kinds)]
    for word in ROLES[role]:
        for each in allowed:
            if words(each.name) == word:
                return each
    for word in ROLES[role]:
        for each in allowed:
            if len(word) > 3 and re.search(rf"\b{word}\b", words(each.name)):
                return each
    return None


def is_personal(name: str) -> bool:
    """Whether a column's name says that it holds who somebody is, or how to reach them."""
    return any(word in words(name) for word in PERSONAL_WORDS)


def file_kind(name: str) -> str:
    """Kind of file by its name; empty: its name does not tell."""
    plain = words(name)
    return next(
        (kind for kind, some in FILE_WORDS.items() if any(word in plain for word in some)), ""
    )


def _time_formats(values: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Formats that the values are written in; whether day and month could be swapped."""
    counts: dict[str, int] = {}
    found = [match for value in values if (match := _DATE.fullmatch(value))]
    iso = sum(_ISO.fullmatch(value) is not None for value in values)
    if iso >= _MOST * len(values):
        return (ISO,), False
    dates = [match for match in found if len(match[1]) <= 2]
    if len(dates) < _MOST * len(values):
        return (), False
    first, second = (sum(int(match[part]) > 12 for match in dates) for part in (1, 3))
    if first and second:
        # Some values only fit day-first, others only month-first: take what fits more.
        day_first = first > second
    else:
        day_first = first > 0 or (second == 0 and dates[0][2] != "/")
    ambiguous = bool(first and second) or (not first and not second)
    for match in dates:
        sign = match[2]
        day, month = ("%d", "%m") if day_first else ("%m", "%d")
        form = f"{day}{sign}{month}{sign}{'%Y' if len(match[4]) == 4 else '%y'}"
        if match[5]:
            form += f"{match[5]}%H:%M{':%S' if match[8] else ''}"
        counts[form] = counts.get(form, 0) + 1
    return tuple(sorted(counts, key=lambda form: -counts[form])), ambiguous


def _decimal(values: Sequence[str]) -> str:
    """The decimal sign: what stands before the last one or two digits."""
    comma = sum(re.search(r",\d{1,2}\D*$", value) is not None for value in values)
    point = sum(re.search(r"\.\d{1,2}\D*$", value) is not None for value in values)
    if comma == point:
        return ""
    return "," if comma > point else "."
