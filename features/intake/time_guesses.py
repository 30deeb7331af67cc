"""Guesses about how times are written: ISO, day or month first, names of months, seconds."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from features.intake.mapping import ISO

# Nine in ten values must agree; a file with one slip in ten is told, not guessed around.
MOST: Final = 0.9
_CLOCK: Final = r"(?:([T ])(\d{1,2}):(\d{2})(:\d{2})?( ?[AaPp][Mm])?)?"
_DATE: Final = re.compile(rf"(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{2,4}}){_CLOCK}")
_MONTHS: Final = re.compile("(?i)jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec")
_NAMED: Final = re.compile(
    r"(?:(\d{1,2})([ .-]+)([A-Za-z]{3,9})|([A-Za-z]{3,9}) (\d{1,2}))(,? |-)(\d{4})" + _CLOCK
)
_ISO: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?"
)
_ZONED: Final = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")
# Whole seconds and milliseconds since 1970 from 1973 to 2286 have as many digits as these.
_UNIX: Final = {
    "unix": re.compile(r"[1-9]\d{8,9}(\.0+)?"),
    "unix_ms": re.compile(r"[1-9]\d{11,12}"),
}
_TIME_WORDS: Final = re.compile(
    r"\b(time|timestamp|date|datum|zeit|zeitpunkt|zeitstempel|at|am|on|ts|since|seit|created)\b"
)


def time_formats(name: str, values: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Formats of values, most frequent first; whether day and month could be swapped.

    Parameters
    ----------
    name : str
        The column's name in plain words; seconds since 1970 look like any other number.
    """
    most = MOST * len(values)
    if _fitting(_ISO, values) >= most:
        return (ISO,), False
    for form, pattern in _UNIX.items():
        if _fitting(pattern, values) >= most and _TIME_WORDS.search(name):
            return (form,), False
    named = [form for value in values if (form := _named_format(value))]
    if len(named) >= most:
        return _by_frequency(named), False
    found = [match for value in values if (match := _DATE.fullmatch(value))]
    years = [match for match in found if len(match[1]) == 4 and int(match[3]) <= 12]
    if len(years) >= most:
        return _by_frequency([f"%Y{m[2]}%m{m[2]}%d{_clock(m, 5)}" for m in years]), False
    dates = [match for match in found if len(match[1]) <= 2]
    if len(dates) < most:
        return (), False
    first, second = (sum(int(match[part]) > 12 for match in dates) for part in (1, 3))
    if first and second:
        # Some values only fit day-first, others only month-first: take what fits more.
        day_first = first > second
    else:
        day_first = first > 0 or (second == 0 and dates[0][2] != "/")
    ambiguous = bool(first and second) or (not first and not second)
    forms = []
    for match in dates:
        day, month = ("%d", "%m") if day_first else ("%m", "%d")
        year = "%Y" if len(match[4]) == 4 else "%y"
        forms.append(f"{day}{match[2]}{month}{match[2]}{year}{_clock(match, 5)}")
    return _by_frequency(forms), ambiguous


def names_no_zone(formats: Sequence[str], values: Sequence[str]) -> bool:
    """Whether times have hours but no zone."""
    clocks = any(f == ISO or "%H" in f or "%I" in f for f in formats)
    return clocks and any(":" in value and not _ZONED.search(value) for value in values)


def _clock(match: re.Match[str], at: int) -> str:
    """Format of the clock that stands in five groups of a match, from `at` on."""
    sign, hour, _, seconds, half = match.group(*range(at, at + 5))
    if not hour:
        return ""
    form = f"{sign}{'%I' if half else '%H'}:%M{':%S' if seconds else ''}"
    return form + (half[: len(half) - 2] + "%p" if half else "")


def _named_format(value: str) -> str:
    match = _NAMED.fullmatch(value)
    if match is None:
        return ""
    name = match[3] or match[4]
    if not _MONTHS.match(name):
        return ""
    month = "%b" if len(name) == 3 else "%B"
    date = f"%d{match[2]}{month}" if match[3] else f"{month} %d"
    return f"{date}{match[6]}%Y{_clock(match, 8)}"


def _fitting(pattern: re.Pattern[str], values: Sequence[str]) -> int:
    return sum(pattern.fullmatch(value) is not None for value in values)


def _by_frequency(forms: Sequence[str]) -> tuple[str, ...]:
    return tuple(form for form, _ in Counter(forms).most_common())
