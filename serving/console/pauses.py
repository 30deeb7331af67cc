"""What is paused or under review, and whom it kept from a message: for a person to look at."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from serving.answer import Json, time_text
from serving.console.looking import Looking
from serving.console.twins import Rows
from serving.contact_policy import told
from serving.pause_looks import NAMED_AT_ONCE, NEWEST, Looked, bounded, standing_record
from serving.records import Pause
from serving.storage.withheld import Withheld

NUMBER: Final = re.compile(r"[0-9]{1,9}")
COLUMNS: Final = (
    *("state", "number", "about", "since", "ended_at"),
    *("decisions", "people", "complete", "customer_id"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One pause as the page shows it; `still` names the classes that leave all the same."""

    state: str
    number: int
    about: str
    since: str
    ended_at: str
    still: str
    held: Withheld


@dataclass(frozen=True, slots=True)
class PausesPage:
    """The pauses, and from which customer on people are named.

    Attributes
    ----------
    before, after : int or None
        Where the pages before and after this one begin; None: there is none.
    """

    looked: Looked
    pauses: tuple[Shown, ...]
    first: int
    before: int | None
    after: int | None
    newest: int = NEWEST

    def record(self) -> dict[str, Json]:
        """The JSON twin: what a call of `/v1/pause` answers."""
        return standing_record(self.looked)

    def rows(self) -> Rows:
        """The CSV twin: a row for each customer named, one at least for each pause."""
        return Rows(COLUMNS, tuple(row for one in self.pauses for row in _rows(one)))


def pauses_page(looking: Looking, first: str) -> PausesPage:
    """The page that begins with the customer of this place; with the first if it is no number."""
    begin = int(first) if NUMBER.fullmatch(first) else 0
    looked = Looked.at(looking.store, (), bounded(begin))
    say = looking.surroundings.language.say
    states = (("paused", looked.on), ("under review", looked.reviewed))
    pauses = tuple(
        _shown(state, pause, held, say(told(pause)))
        for state, some in states
        for pause, held in some
    )
    most = max((one.held.people for one in pauses), default=0)
    return PausesPage(
        looked,
        pauses,
        begin,
        before=max(0, begin - NAMED_AT_ONCE) if begin else None,
        after=begin + NAMED_AT_ONCE if begin + NAMED_AT_ONCE < most else None,
    )


def _shown(state: str, pause: Pause, held: Withheld, about: str) -> Shown:
    ended = "" if pause.ended_at is None else time_text(pause.ended_at)
    since = time_text(pause.since)
    return Shown(state, pause.number, about, since, ended, ", ".join(pause.allow), held)


def _rows(one: Shown) -> Iterator[tuple[str | float | None, ...]]:
    held = one.held
    counts = (held.decisions, held.people, int(held.complete))
    for customer in held.customers or (None,):
        yield (one.state, one.number, one.about, one.since, one.ended_at, *counts, customer)
