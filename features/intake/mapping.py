"""The mapping of own files: which file tells which event, and which column is what."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

from features.intake.text_files import DELIMITERS, ENCODINGS, TextFile
from features.signals import CANONICAL_COLUMNS, REQUIRED_COLUMNS

ISO: Final = "iso"
UNIX_FORMATS: Final = {"unix": 1_000_000, "unix_ms": 1_000, "unix_us": 1}  # microseconds a unit
PROPERTY: Final = "properties."  # ``properties.discount`` is the word `discount` in `properties`
PRODUCT: Final = " * "  # ``UnitPrice * Quantity`` is the product of two columns
_FILE_KEYS: Final = (
    "pattern",
    "delimiter",
    "encoding",
    "decimal",
    "time_format",
    "time_zone",
    "currency",
    "signal",
)
_SIGNAL_KEYS: Final = (
    "event",
    "event_column",
    "events",
    "columns",
    "constants",
    "only_where",
    "only_values",
    "one_per",
    "negative",
    "time_format",
)


class MappingError(ValueError):
    """A mapping cannot be used, or does not fit a file."""


@dataclass(frozen=True, slots=True)
class SignalRule:
    """How a row of a file tells one signal.

    Attributes
    ----------
    event : str
        Name of the event; empty where `event_column` tells it row by row.
    event_column : str
        Column that names the event; empty: none.
    events : mapping
        From the file's event names to ours. Names not listed stay as they are.
    columns : mapping
        From canonical columns (or ``properties.<word>``) to the file's columns. An amount may be
        the product of two, such as ``UnitPrice * Quantity``.
    constants : mapping
        From canonical columns (or ``properties.<word>``) to a text that every row gets.
    only_where : str
        The row tells this signal only where this column is not empty; empty: every row does.
    only_values : tuple of str
        And only where that column holds one of these; empty: any text will do.
    one_per : str
        Rows of one customer with the same text in this column tell one signal together: amounts,
        discounts and points are added up, all else is the first row's. Empty: every row tells
        its own.
    negative : str
        The event that a negative amount tells, such as ``Order Refunded``; its sign is dropped.
        Empty: the same event.
    time_format : tuple of str
        ``iso``, ``unix``, ``unix_ms``, ``unix_us`` or strptime patterns; empty: the file's.
    """

    event: str = ""
    event_column: str = ""
    events: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    only_where: str = ""
    only_values: tuple[str, ...] = ()
    one_per: str = ""
    negative: str = ""
    time_format: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileRule:
    """How to read the files whose names fit a pattern.

    Attributes
    ----------
    pattern : str
        File name, or shell pattern such as ``orders_*.csv``; with its folder where two files
        have one name: ``2025/orders.csv``.
    delimiter, encoding : str
        Empty: found out from the file.
    decimal : str
        ``.`` or ``,``.
    time_format : tuple of str
        Tried in this order; see `SignalRule`.
    time_zone : str
        For times that name none, such as ``Europe/Berlin``.
    currency : str
        For amounts that name none; empty: the company's.
    """

    pattern: str
    signals: tuple[SignalRule, ...]
    delimiter: str = ""
    encoding: str = ""
    decimal: str = "."
    time_format: tuple[str, ...] = (ISO,)
    time_zone: str = "UTC"
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Mapping_:  # noqa: N801  (`Mapping` alone is the standard library's word)
    """Rules for files, tried in order; the first whose pattern fits a file's name counts."""

    files: tuple[FileRule, ...]

    def rule(self, path: Path) -> FileRule | None:
        """The rule for a file; None where no pattern fits its name."""
        return next((rule for rule in self.files if _fits(path, rule.pattern)), None)


def known_rule(columns: Iterable[str]) -> FileRule | None:
    """Rule for a file that needs no mapping: our own columns, or Segment's envelope."""
    if is_canonical(columns):
        return _canonical_rule(columns)
    return _envelope_rule(columns) if {"userId", "event", "timestamp"} <= {*columns} else None


def _envelope_rule(columns: Iterable[str]) -> FileRule:
    """Rule for Segment's envelope: tracked events, pages and screens, and traits."""
    known = {
        ours: theirs
        for ours, theirs in (
            ("message_id", "messageId"),
            ("customer_id", "userId"),
            ("occurred_at", "timestamp"),
            ("received_at", "receivedAt"),
            ("properties", "properties"),
        )
        if theirs in columns
    }
    rules = [SignalRule(event_column="event", columns=known, only_where="event")]
    if "type" in columns:
        pages = ("page", "screen")
        rules.append(
            SignalRule(event="Page Viewed", columns=known, only_where="type", only_values=pages)
        )
        if "traits" in columns:
            traits = known | {"properties": "traits"}
            rules.append(
                SignalRule(
                    event="Trait Set",
                    columns=traits,
                    only_where="type",
                    only_values=("identify",),
                )
            )
    return FileRule(pattern="*", signals=tuple(rules))


def _fits(path: Path, pattern: str) -> bool:
    parts = path.absolute().parts[-pattern.count("/") - 1 :]
    return fnmatchcase("/".join(parts), pattern)


def _canonical_rule(columns: Iterable[str]) -> FileRule:
    own = {name: name for name in CANONICAL_COLUMNS if name in columns}
    return FileRule(
        pattern="*",
        signals=(
            SignalRule(
                event_column="event", columns={k: v for k, v in own.items() if k != "event"}
            ),
        ),
    )


def is_canonical(columns: Iterable[str]) -> bool:
    """Whether a file has the columns that every signal needs."""
    return set(REQUIRED_COLUMNS) <= set(columns)


def check_columns(rule: FileRule, file: TextFile) -> None:
    """Refuse a rule that names a column the file does not have.

    Raises
    ------
    MappingError
    """
    for signal in rule.signals:
        named = [
            *signal.columns.values(),
            signal.event_column,
            signal.only_where,
            signal.one_per,
        ]
        for column in (part for name in named for part in _factors(name, file)):
            if column and column not in file.columns:
                guess = _did_you_mean(column, file.columns)
                raise MappingError(
                    f"{file.path.name}: the mapping names the column '{column}', which the file "
                    f"does not have{guess}; its columns are {', '.join(file.columns)}; "
                    f"correct [[file]] pattern = '{rule.pattern}' in the mapping"
                )


def _factors(name: str, file: TextFile) -> list[str]:
    return [name] if name in file.columns else name.split(PRODUCT)


def load_mapping(path: Path) -> Mapping_:
    """Read a `mapping.toml`.

    Raises
    ------
    MappingError
        If the file is missing, is no TOML, or holds an unknown key or a value out of range. A
        mapping that describes no file is none: files in our own form need none.
    """
    if not path.is_file():
        raise MappingError(
            f"{path}: there is no such mapping; draft one with `nextbest init FILE...`"
        )
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name}: not TOML: {error}; mend that line") from error
    _only_keys(found, ("file",), path.name)
    entries = found.get("file", [])
    if not isinstance(entries, list):
        raise MappingError(
            f"{path.name}: file = {entries!r}; write one [[file]] for each kind of file, "
            "or draft a mapping with `nextbest init FILE...`"
        )
    return Mapping_(tuple(_file_rule(entry, path.name) for entry in entries))


def _file_rule(entry: Mapping[str, object], where: str) -> FileRule:
    if "pattern" not in entry:
        raise MappingError(
            f"{where}: a [[file]] has no pattern; write the file's name, or a shell pattern "
            "such as 'orders_*.csv'"
        )
    where = f"{where}: file '{entry['pattern']}'"
    _only_keys(entry, _FILE_KEYS, where)
    decimal = _one_of(entry, "decimal", (".", ","), ".", where)
    delimiter = _one_of(entry, "delimiter", (*DELIMITERS, ""), "", where)
    encoding = _one_of(entry, "encoding", (*ENCODINGS, ""), "", where)
    time_zone = _text(entry, "time_zone", where) or "UTC"
    if time_zone not in available_timezones():
        raise MappingError(
            f"{where}: time_zone '{time_zone}' is unknown"
            f"{_did_you_mean(time_zone, sorted(available_timezones()))}; "
            "zones are named as in 'Europe/Berlin'; correct it or leave it out for UTC"
        )
    currency = _text(entry, "currency", where)
    if currency and not (len(currency) == 3 and currency.isalpha() and currency.isupper()):
        raise MappingError(
            f"{where}: currency '{currency}'; must be three capital letters such as 'EUR'"
        )
    signals = entry.get("signal", [])
    if not isinstance(signals, list) or not signals:
        raise MappingError(
            f"{where}: tells no signal; write at least one [[file.signal]] with an event, "
            "or remove the file"
        )
    return FileRule(
        pattern=_text(entry, "pattern", where),
        signals=tuple(_signal_rule(signal, where) for signal in signals),
        delimiter=delimiter,
        encoding=encoding,
        decimal=decimal,
        time_format=_time_format(entry, where) or (ISO,),
        time_zone=time_zone,
        currency=currency,
    )


def _signal_rule(entry: Mapping[str, object], where: str) -> SignalRule:
    named = entry.get("event") or entry.get("event_column") or "?"
    where = f"{where}: signal '{named}'"
    _only_keys(entry, _SIGNAL_KEYS, where)
    if ("event" in entry) == ("event_column" in entry):
        raise MappingError(
            f"{where}: names {'both' if 'event' in entry else 'neither'} an event and an "
            "event_column; write event = 'Order Completed' where every row tells the same event, "
            "event_column = 'Type' where a column names it"
        )
    rule = SignalRule(
        event=_text(entry, "event", where),
        event_column=_text(entry, "event_column", where),
        events=_texts(entry, "events", where),
        columns=_texts(entry, "columns", where),
        constants=_texts(entry, "constants", where),
        only_where=_text(entry, "only_where", where),
        only_values=_list(entry, "only_values", where),
        one_per=_text(entry, "one_per", where),
        negative=_text(entry, "negative", where),
        time_format=_time_format(entry, where),
    )
    _check_targets(rule, where)
    return rule


def _check_targets(rule: SignalRule, where: str) -> None:
    """Every key of columns and constants is canonical, and the required ones are there."""
    allowed = tuple(name for name in CANONICAL_COLUMNS if name not in ("event", "properties"))
    for target in (*rule.columns, *rule.constants):
        known = target in allowed or target == "properties"
        if not known and not (target.startswith(PROPERTY) and len(target) > len(PROPERTY)):
            raise MappingError(
                f"{where}: unknown column '{target}'{_did_you_mean(target, allowed)}; columns are "
                f"{', '.join(allowed)} and properties.<word>; correct its spelling"
            )
    for needed in ("customer_id", "occurred_at"):
        if needed not in rule.columns and needed not in rule.constants:
            raise MappingError(
                f"{where}: nothing tells {needed}; add {needed} = '<the file's column>' to its "
                "columns"
            )
    if rule.only_values and not rule.only_where:
        raise MappingError(
            f"{where}: only_values without only_where; name the column that holds these values"
        )


def _only_keys(entry: object, allowed: tuple[str, ...], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise MappingError(f"{where}: {entry!r} stands where a table of keys must; mend it")
    for key in entry:
        if key not in allowed:
            raise MappingError(
                f"{where}: unknown key '{key}'{_did_you_mean(str(key), allowed)}; "
                f"keys are {', '.join(allowed)}; correct its spelling or remove it"
            )


def _did_you_mean(name: str, allowed: Iterable[str]) -> str:
    close = get_close_matches(name, list(allowed), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _one_of(
    entry: Mapping[str, object], key: str, allowed: tuple[str, ...], default: str, where: str
) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str) or value not in allowed:
        shown = ", ".join(repr(choice) for choice in allowed if choice)
        raise MappingError(f"{where}: {key} = {value!r}; must be one of {shown}; choose one")
    return value


def _text(entry: Mapping[str, object], key: str, where: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise MappingError(f"{where}: {key} = {value!r}; must be a text; put it in quotes")
    return value


def _texts(entry: Mapping[str, object], key: str, where: str) -> dict[str, str]:
    value = entry.get(key, {})
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise MappingError(
            f"{where}: {key} = {value!r}; must be a table of texts such as "
            "{ amount = 'Total' }; put names with a dot in quotes"
        )
    return {str(k): str(v) for k, v in value.items()}


def _list(entry: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise MappingError(f"{where}: {key} = {value!r}; must be a list of texts")
    return tuple(values)


def _time_format(entry: Mapping[str, object], where: str) -> tuple[str, ...]:
    formats = _list(entry, "time_format", where)
    for pattern in formats:
        if pattern == ISO or pattern in UNIX_FORMATS:
            continue
        if "%" not in pattern or "%z" in pattern.lower():
            raise MappingError(
                f"{where}: time_format '{pattern}'; must be {ISO}, {', '.join(UNIX_FORMATS)} or a "
                "strptime pattern without a zone such as '%d.%m.%Y %H:%M'; correct it"
            )
    return formats
