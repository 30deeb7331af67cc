"""Stories as they stand in the TOML files beside this one, read strictly."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).parents[1]
ROWS = FOLDER / "rows.toml"
PARTS = ("journey", "communications", "channels", "metrics", "signals", "practices")

Made = TypeVar("Made")


class UnreadableStory(ValueError):
    """A story that does not say what it means."""


@dataclass(frozen=True, slots=True)
class Then:
    """One look at a customer, and what must come of it. README.md explains every key."""

    at: str = "now"
    who: str = ""
    signals: tuple[str, ...] = ()
    trigger: str = ""
    channels: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    locale: str = ""
    drawn: float = 0.5
    pause: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    review: bool = False
    hears: str = ""
    due: tuple[str, ...] | None = None
    reported: str = ""
    stage: str = ""
    flags: tuple[str, ...] | None = None
    allowed: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    reconsider: str = ""
    not_before: str = ""
    valid_until: str = ""
    arm: str = ""
    probability: float | None = None
    effect: float | None = None
    net: float | None = None
    basis: str = ""
    evidence: int | None = None
    consent: str = ""
    terms: str = ""
    human: bool | None = None
    scores: Mapping[str, Any] | None = None
    note: str = ""
    features: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """Signals in, at a moment, under a catalog and a policy; a communication or silence out."""

    title: str
    rows: tuple[str, ...]
    then: tuple[Then, ...]
    moment: str = "2026-11-04 12:00"
    who: str = "C-1"
    allows: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    catalog: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    company: str = "shop"
    file: str = ""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Several customers of whom the same is told."""

    many: int
    signals: tuple[str, ...]
    arm: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """Customers in, a number out."""

    title: str
    rows: tuple[str, ...]
    crowds: tuple[Crowd, ...]
    number: str
    equals: float
    give_or_take: float = 0.0005
    moment: str = "2026-11-04 12:00"
    company: str = "shop"
    policy: Mapping[str, Any] = field(default_factory=dict)
    with_: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""


def stories() -> list[Story]:
    """All stories about one customer, in the order of the parts."""
    return [
        made(
            Story,
            table | {"then": tuple(made(Then, each, place) for each in table.get("then", ()))},
            place,
            part,
        )
        for part, table, place in _tables("story")
    ]


def counts() -> list[Count]:
    """All stories whose end is a number of a whole company."""
    return [
        made(
            Count,
            {("with_" if key == "with" else key): value for key, value in table.items()}
            | {"crowds": tuple(made(Crowd, each, place) for each in table.get("crowds", ()))},
            place,
            part,
        )
        for part, table, place in _tables("count")
    ]


def rows() -> dict[str, str]:
    """Title of each row, by its id, in the order of the parts."""
    with ROWS.open("rb") as file:
        return {row: title for part in tomllib.load(file).values() for row, title in part.items()}


def parts() -> dict[str, dict[str, str]]:
    """Rows of each part, by its name."""
    with ROWS.open("rb") as file:
        return tomllib.load(file)


def shown() -> dict[str, list[tuple[str, str]]]:
    """Part and title of the stories that show each row."""
    found: dict[str, list[tuple[str, str]]] = {row: [] for row in rows()}
    for one in (*stories(), *counts()):
        for row in one.rows:
            found.setdefault(row, []).append((one.file, one.title))
    return found


def made(kind: type[Made], table: Mapping[str, Any], place: str, file: str = "") -> Made:
    """The record that a table tells; a key that is not known, or missing, is named."""
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UnreadableStory(f"{place}: unknown key '{key}'{hint}")
    for name, each in known.items():
        needed = each.default is MISSING and each.default_factory is MISSING
        if needed and name not in table:
            raise UnreadableStory(f"{place}: '{name}' is missing")
    told = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return kind(**told, **({"file": file} if file else {}))


@cache
def _read(part: str) -> dict[str, Any]:
    with (FOLDER / f"{part}.toml").open("rb") as file:
        return tomllib.load(file)


def _tables(kind: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    for part in PARTS:
        read = _read(part)
        strange = read.keys() - {"story", "count"}
        if strange:
            raise UnreadableStory(f"{part}.toml: {', '.join(sorted(strange))} is no story")
        for table in read.get(kind, ()):
            yield part, table, f"{part}.toml: '{table.get('title', '?')}'"
