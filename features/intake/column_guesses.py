"""Guesses about a file's columns, from their names and their values."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from features.intake.column_words import (
    CHANNEL_WORDS,
    FILE_WORDS,
    NO,
    PERSON_WORDS,
    PERSONAL_BEGINNINGS,
    PERSONAL_WORDS,
    ROLES,
    YES,
)
from features.intake.time_guesses import MOST, names_no_zone, time_formats

_NUMBER: Final = re.compile(
    r"[+-]?[€$£ ]?-?\d[\d.,'\u2019 \u00a0\u2009\u202f]*\s?(€|\$|£|EUR|USD|GBP|CHF)?"
)
# A whole number with marks of thousands and no decimals: 1.234 or 1,234.
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}([.,]\d{3})+")


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
    thousands : bool
        Whether a value could have a mark of thousands as well as three decimals: ``1.234``.
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
    thousands: bool = False
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
    formats, ambiguous = time_formats(words(name), values)
    if formats:
        clock = names_no_zone(formats, values)
        return Column(
            name, "time", formats, ambiguous, clock, distinct=distinct, filled=len(values)
        )
    numbers = sum(_NUMBER.fullmatch(value) is not None for value in values)
    if numbers >= MOST * len(values):
        return Column(
            name,
            "number",
            decimal=_decimal(values),
            thousands=any(_THOUSANDS.fullmatch(value) for value in values),
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
    found = words(name).split()
    return (
        any(word in PERSONAL_WORDS or word.startswith(PERSONAL_BEGINNINGS) for word in found)
        or found == ["name"]
        or ("name" in found and not {*PERSON_WORDS}.isdisjoint(found))
    )


def channel_in(name: str) -> str:
    """The channel that a name speaks of; empty: none."""
    found = {*words(name).split()}
    return next((channel for channel, some in CHANNEL_WORDS.items() if found & {*some}), "")


def fits_role(role: str, column: Column) -> bool:
    """Whether a column's name fits a role at all."""
    return with_role(role, [column]) is not None


def looks_like_a_time(column: Column) -> bool:
    """Whether a column's name promises times."""
    last = words(column.name).split()[-1:]
    return fits_role("occurred_at", column) or last in (["at"], ["am"], ["date"], ["datum"])


def thousandths_too(column: Column) -> bool:
    """Whether its numbers could have three decimals as well as a thousands mark."""
    return column.thousands and not column.decimal


def file_kind(name: str) -> str:
    """Kind of file by its name; empty: its name does not tell."""
    plain = words(name)
    return next(
        (kind for kind, some in FILE_WORDS.items() if any(word in plain for word in some)), ""
    )


def _decimal(values: Sequence[str]) -> str:
    """The decimal sign: what stands before the last one or two digits."""
    comma = sum(re.search(r",\d{1,2}\D*$", value) is not None for value in values)
    point = sum(re.search(r"\.\d{1,2}\D*$", value) is not None for value in values)
    if comma == point:
        return ""
    return "," if comma > point else "."
