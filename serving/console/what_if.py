"""The what-if page of one customer: a form of what can be changed, and what the models would say.

It repeats what a call gets (`serving.what_if`); looking decides nothing and logs nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from models.language import ENGLISH
from models.what_if import CannotChange
from serving.answer import Json, rows, table, tables
from serving.console import words
from serving.console.looking import Looking
from serving.console.twins import Rows
from serving.what_if import Supposition, what_if

MOST_FIELDS: Final = 16
DIGITS: Final = 12  # of a bound in the form: enough to be typed, and no rounding dust


@dataclass(frozen=True, slots=True)
class Field:
    """One feature that can be changed: its input, and the words beside it."""

    name: str
    label: str
    now: str
    low: str
    high: str
    step: str
    given: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One score now and then, in words."""

    title: str
    now: str
    band_now: str
    then: str
    band_then: str
    nearest: str

    @property
    def moved(self) -> bool:
        """Whether it would read differently."""
        return self.now != self.then


@dataclass(frozen=True, slots=True)
class WhatIfPage:
    """All that the page says; `wrong` where the form asks for what cannot be asked for."""

    customer_id: str
    content: Mapping[str, Json]
    fields: tuple[Field, ...]
    readings: tuple[Reading, ...]
    moves: tuple[str, ...]
    reasons: tuple[tuple[str, float, str], ...]
    note: str
    wrong: str

    def record(self) -> dict[str, Json]:
        """The JSON twin: the answer as a call gets it, and what was wrong with the form."""
        return {**self.content, "wrong": self.wrong}

    def rows(self) -> Rows:
        """The CSV twin: a fact a row."""
        found: list[tuple[str | float | None, ...]] = []
        for name, score in tables(self.content["scores"]).items():
            now, then = table(score["now"]), table(score["then"])
            found.append(("score", name, _cell(now["value"]), _cell(then["value"])))
        for each in rows(self.content["changes"]):
            found.append(
                ("change", str(each["feature"]), _cell(each["before"]), _cell(each["after"]))
            )
        for each in rows(self.content["can_change"]):
            found.append(
                ("can_change", str(each["feature"]), _cell(each["low"]), _cell(each["high"]))
            )
        return Rows(("what", "name", "now_or_low", "then_or_high"), tuple(found))


def what_if_page(customer_id: str, query: Mapping[str, str], looking: Looking) -> WhatIfPage:
    """The page of one customer, with the changes that a form asks for.

    Raises
    ------
    UnknownCustomer
        If nothing had been heard of them.
    """
    given = {name: text.strip() for name, text in list(query.items())[:MOST_FIELDS] if text.strip()}
    wrong, content = "", dict[str, Json]()
    try:
        content = _answer(customer_id, numbers(given), looking)
    except CannotChange as error:
        wrong = f"{error.feature}: {error}"
        content = _answer(customer_id, {}, looking)
    currency = looking.surroundings.currency
    return WhatIfPage(
        customer_id=customer_id,
        content=content,
        fields=tuple(_field(each, given) for each in rows(content["can_change"])),
        readings=tuple(
            _reading(name, each, table(table(content["nearest"]).get(name)), currency)
            for name, each in tables(content["scores"]).items()
        ),
        moves=tuple(_moved(each) for each in rows(content["changes"])),
        reasons=tuple(
            (
                words.SCORES.get(str(each["score"]), ""),
                cast(float, each["points"]),
                str(each["text"]),
            )
            for each in rows(content["reasons"])
        ),
        note=str(content["note"]),
        wrong=wrong,
    )


def numbers(given: Mapping[str, str]) -> dict[str, float]:
    """What was typed, as numbers.

    Raises
    ------
    CannotChange
        If something is no number.
    """
    found = {}
    for name, text in given.items():
        try:
            found[name] = float(text.replace(",", "."))
        except ValueError as error:
            raise CannotChange(name, "not_a_number", "what was typed is no number") from error
        if not math.isfinite(found[name]):
            raise CannotChange(name, "not_a_number", "what was typed is no number")
    return found


def _answer(customer_id: str, changes: Mapping[str, float], looking: Looking) -> dict[str, Json]:
    asked = Supposition(customer_id, looking.as_of, changes)
    return what_if(asked, looking.store, looking.engine, looking.surroundings)


def _field(lever: Mapping[str, Json], given: Mapping[str, str]) -> Field:
    name, unit = str(lever["feature"]), str(lever["unit"])
    low, high = cast(float, lever["low"]), cast(float, lever["high"])
    return Field(
        name=name,
        label=str(lever["label"]),
        now=_said(lever["value"], unit),
        low=f"{low:.{DIGITS}g}",
        high=f"{high:.{DIGITS}g}",
        step="1" if lever["whole"] else "any",
        given=given.get(name, ""),
    )


def _reading(
    name: str, score: Mapping[str, Json], nearest: Mapping[str, Json], currency: str
) -> Reading:
    now, then = table(score["now"]), table(score["then"])
    changes = [_moved(each) for each in rows(nearest.get("changes")) if each["asked"]]
    sentence = ""
    if changes:
        reads = words.percent(cast(float, nearest["value"]))
        sentence = f"{' and '.join(changes)}: it would read {reads}, {nearest['band']}."
    return Reading(
        title=words.SCORES.get(name, words.plain(name)),
        now=_value(name, now["value"], currency),
        band_now=str(score["band_now"]),
        then=_value(name, then["value"], currency),
        band_then=str(score["band_then"]),
        nearest=sentence,
    )


def _moved(move: Mapping[str, Json]) -> str:
    unit = str(move["unit"])
    return f"{move['label']}: {_said(move['after'], unit)} instead of {_said(move['before'], unit)}"


def _said(value: Json, unit: str) -> str:
    return "nothing" if value is None else ENGLISH.quantity(cast(float, value), unit)


def _value(name: str, value: Json, currency: str) -> str:
    if value is None:
        return "\N{EN DASH}"
    if name == "expected_margin":
        return words.money(cast(float, value), currency)
    return words.percent(cast(float, value))


def _cell(value: Json) -> float | None:
    return None if value is None else cast(float, value)
