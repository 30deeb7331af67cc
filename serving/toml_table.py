"""A table of a TOML file, read key by key, so that every mistake is named."""

import datetime as dt
import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# A number must come out of a few products with others and still be a number that can be told:
# inf and 1e300 do not, and nobody pays a million million for a message.
LARGEST: Final = 1e12
LONGEST_SEEN: Final = 80  # characters of a wrong value that a message shows


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where one allowed word is close, else nothing."""
    close = difflib.get_close_matches(word, list(allowed), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def as_written(value: object) -> str:
    """A value as its file has it, cut where it is long: ``'text'``, ``2026-12-01``, ``true``."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dt.date | dt.time):
        text = value.isoformat()
    else:
        text = repr(value)
    return text if len(text) <= LONGEST_SEEN else f"{text[:LONGEST_SEEN]}..."


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a file edited by hand.

    Every method raises `error` with a message that begins with `place`.

    Attributes
    ----------
    place : str
        Where the table stands, such as ``catalog.toml: communication 'welcome'``.
    error : type of ValueError
        What to raise: the exception of the file that is being read.
    """

    place: str
    values: Mapping[str, object]
    error: type[ValueError]

    def wrong(self, what: str) -> ValueError:
        """The exception for this table; the caller raises it."""
        return self.error(f"{self.place}: {what}")

    def allow(self, *keys: str) -> None:
        """Refuse every key but these."""
        for key in self.values:
            if key not in keys:
                hint = did_you_mean(key, keys) or f"; keys are {', '.join(keys)}"
                raise self.wrong(f"unknown key '{key}'{hint}")

    def has(self, key: str) -> bool:
        """Whether the key is written down."""
        return key in self.values

    def found(self, key: str) -> object:
        """Value of a key that must be there."""
        if key not in self.values:
            raise self.wrong(f"'{key}' is missing; add a line '{key} = ...'")
        return self.values[key]

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self.found(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(f"{key} {as_written(value)}; must be a text in quotation marks")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """A number from `low` to `high`, both included; where one is infinite, to `LARGEST`."""
        value = self.found(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"{key} {as_written(value)}; must be a number without quotation marks")
        if not max(low, -LARGEST) <= value <= min(high, LARGEST):  # NaN fails here too
            seen = as_written(value) if isinstance(value, int) else f"{value:g}"
            raise self.wrong(f"{key} {seen}; must be {_range(low, high)}")
        return float(value)

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        value = self.number(key, low, high)
        if value != int(value):
            raise self.wrong(f"{key} {value:.12g}; must be a whole number")
        return int(value)

    def truth(self, key: str) -> bool:
        """Either true or false."""
        value = self.found(key)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} {as_written(value)}; must be true or false")
        return value

    def one_of(self, key: str, allowed: Collection[str]) -> str:
        """A word of a closed list."""
        return self.known(key, self.text(key), allowed)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, none twice."""
        value = self.found(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f'{key} {as_written(value)}; must be a list of texts, such as ["..."]')
        for item in value:
            if value.count(item) > 1:
                raise self.wrong(f"{key} names '{item}' twice; remove one of the two")
        return tuple(value)

    def some_of(self, key: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Words of a closed list."""
        return tuple(self.known(key, word, allowed) for word in self.texts(key))

    def known(self, key: str, word: str, allowed: Collection[str]) -> str:
        """The word itself, if it is in the list."""
        if word not in allowed:
            listed = f"; must be one of {', '.join(allowed)}" if len(allowed) <= 20 else ""
            hint = did_you_mean(word, allowed)
            raise self.wrong(f"{key} {as_written(word)} is not known{listed}{hint}")
        return word

    def table(self, key: str) -> "Table":
        """A table below this one."""
        value = self.found(key)
        if not isinstance(value, dict):
            raise self.wrong(f"{key} {as_written(value)}; must be a table, such as [{key}]")
        return Table(f"{self.place}: {key}", value, self.error)

    def tables(self, key: str) -> tuple["Table", ...]:
        """A list of tables below this one."""
        value = self.found(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(
                f"{key} {as_written(value)}; must be a list of tables, such as [[{key}]]"
            )
        return tuple(
            Table(f"{self.place}: {key} {position}", item, self.error)
            for position, item in enumerate(value, start=1)
        )


def read_toml(path: Path, error: type[ValueError]) -> tuple[Table, bytes]:
    """The whole file as a table, and its bytes.

    Raises
    ------
    ValueError
        `error`, if there is no such file, or it is no TOML in UTF-8. The mark that some editors
        put before UTF-8 is passed over.
    """
    try:
        content = path.read_bytes()
    except OSError as trouble:
        raise error(
            f"{path}: cannot be read ({trouble.strerror}); "
            "name another file, or write one with `nextbest init`"
        ) from trouble
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as trouble:
        raise error(
            f"{path.name}: not UTF-8: {trouble.reason} at byte {trouble.start}; a text file in "
            "UTF-8 is needed; save it again with that encoding"
        ) from trouble
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as trouble:  # also a number of thousands of digits
        raise error(f"{path.name}: not TOML: {trouble}; mend that line") from trouble
    return Table(path.name, values, error), content


def _range(low: float, high: float) -> str:
    if high == float("inf"):
        if low == -high:
            return "at most a million million, above zero or below"
        return f"{'zero' if low == 0 else f'{low:g}'} or more, up to a million million"
    return f"between {low:.12g} and {high:.12g}"
