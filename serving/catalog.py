"""The catalog: every communication the engine may choose, as `catalog.toml` states it."""

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from features.consent import PURPOSES
from features.signals import CHANNELS, MINUTE
from models.expectation import ODDS_RATIOS, SCORES
from serving.catalog_keys import (
    blocking_flags_of,
    capacity_of,
    check_moment,
    condition_of,
    dates_of,
    duration_of,
    events_of,
    factors_of,
    line_of,
    number_or_zero,
    share_of,
    source_of,
    stages_of,
    truth_or,
    unmeetable,
    words_of,
)
from serving.communication import Communication as Communication
from serving.communication import Condition as Condition
from serving.communication import Moment as Moment
from serving.communication import Prior as Prior
from serving.records import CLASSES, FLAGS, NO_CONTACT
from serving.refusals import Obstacle
from serving.toml_table import Table, did_you_mean, read_toml

SHIPPED: Final = Path(__file__).with_name("catalog.toml")

ROWS: Final = tuple(f"CM{number}" for number in range(1, 58))

# The longest drip campaigns have a dozen steps; each step asks after all that come before it.
MOST_STEPS: Final = 50

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEYS: Final = (
    "title",
    "channel",
    "class",
    "purpose",
    "personal",
    "stages",
    "requires_flags",
    "blocked_by_flags",
    "where",
    "trigger",
    "after",
    "delay",
    "within",
    "cancel_on",
    "cost",
    "window_days",
    "discount_pct",
    "terms",
    "valid_from",
    "valid_until",
    "capacity_per_week",
    "sells",
    "approved",
    "human",
    "rows",
    "prior",
)
_PRIOR_KEYS: Final = ("share", "share_sd", "of", "opt_out", "weight", "source", "reviewed")

Value = TypeVar("Value")


class InvalidCatalog(ValueError):
    """Mistakes in `catalog.toml`; the message is the first, `mistakes` are all of them."""

    def __init__(self, first: str, others: Iterable[str] = ()) -> None:
        self.mistakes = (first, *others)
        more = len(self.mistakes) - 1
        rest = f" (and {more} more; `nextbest catalog check` names them all)" if more else ""
        super().__init__(first + rest)


# Stage, flags, and whether the customer is a visitor.
Where = tuple[str, tuple[str, ...], bool]


@dataclass(frozen=True, slots=True)
class Standing:
    """What keeps an entry from all customers of a stage with certain flags.

    Attributes
    ----------
    lacking : tuple of Obstacle
        What the catalog itself lacks.
    journey : tuple of Obstacle
        What of the stage and the flags is in the way.
    """

    entry: Communication
    lacking: tuple[Obstacle, ...]
    journey: tuple[Obstacle, ...]


@dataclass(frozen=True, slots=True)
class Standings:
    """The same of all entries, and to which of them nothing more need be asked.

    Attributes
    ----------
    closed : mapping of communication to obstacles
        Those out of the question, whatever else is known of the customer.
    open : tuple of Standing
        Those that depend on dates, moments and numbers.
    """

    by_name: Mapping[str, Standing]
    closed: Mapping[str, tuple[Obstacle, ...]]
    open: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All communications by name, in the order of the file, and the file's hash.

    Attributes
    ----------
    events : tuple of str
        What moments wait for, or end by; `Customer.last_at` tells when each last happened.
    standing : dict
        What `serving.eligibility` has found out about stages and flags, for every entry at once;
        they come in a few dozen combinations.
    """

    communications: Mapping[str, Communication]
    sha256: str
    events: tuple[str, ...] = ()
    standing: dict[Where, Standings] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )

    @property
    def endings(self) -> tuple[str, ...]:
        """Events that end some moment: what was decided before one of them no longer stands."""
        moments = (entry.moment for entry in self.communications.values())
        return tuple({name: 0 for moment in moments if moment for name in moment.cancel_on})

    @property
    def limited(self) -> tuple[str, ...]:
        """Communications with so many places a week."""
        entries = self.communications.values()
        return tuple(entry.name for entry in entries if entry.capacity_per_week is not None)


def load_catalog(path: Path, feature_names: Collection[str]) -> Catalog:
    """Read a catalog and check every word of it.

    Parameters
    ----------
    path : Path
    feature_names : collection of str
        What `where` may speak of, beside the scores.

    Raises
    ------
    InvalidCatalog
        With the entry, the key, the value seen and what is allowed, of every mistake.
    """
    file, content = read_toml(path, InvalidCatalog)
    if not file.values:
        raise InvalidCatalog(
            f"{path.name}: holds no communication; add one, or copy the shipped catalog"
        )
    reader = _Reader((*feature_names, *SCORES, *ODDS_RATIOS), [])
    entries: dict[str, Communication] = {}
    for name in file.values:
        entry = reader.communication(file, name)
        if entry is not None:
            entries[name] = entry
    reader.mistakes.extend(_wrong_sequences(file, entries))
    if reader.mistakes:
        raise InvalidCatalog(reader.mistakes[0], reader.mistakes[1:])
    return Catalog(entries, f"sha256:{hashlib.sha256(content).hexdigest()}", _events(entries))


def _events(entries: Mapping[str, Communication]) -> tuple[str, ...]:
    """Every event that some moment waits for or ends by, once."""
    moments = [entry.moment for entry in entries.values() if entry.moment is not None]
    named = (name for moment in moments for name in (*moment.trigger, *moment.cancel_on))
    return tuple(dict.fromkeys(named))


def _wrong_sequences(file: Table, entries: Mapping[str, Communication]) -> Iterator[str]:
    """Steps that follow nothing or too many, come after themselves, or end with their beginning."""
    follows = {e.name: e.moment.after for e in entries.values() if e.moment and e.moment.after}
    for name, before in follows.items():
        place = f"{file.place}: communication '{name}': "
        if before not in file.values:
            remedy = did_you_mean(before, file.values) or "; name the step before it"
            yield f"{place}after '{before}' is not in the catalog{remedy}"
            continue
        seen, step = {name}, before
        while step in follows and step not in seen:
            seen.add(step)
            step = follows[step]
        if step == name:
            yield (
                f"{place}after '{before}' comes after '{name}' itself; "
                "begin the sequence with a trigger"
            )
        elif len(seen) >= MOST_STEPS:
            yield (
                f"{place}step {len(seen) + 1} of its sequence; a sequence has at most {MOST_STEPS} "
                "steps; begin another one with a trigger"
            )
        elif step in entries:
            yield from (
                f"{place}{wrong}" for wrong in _ended_by_itself(entries[name], entries[step])
            )


def _ended_by_itself(step: Communication, first: Communication) -> Iterator[str]:
    """Events that end a step, and that begin its sequence."""
    ends = () if step.moment is None else step.moment.cancel_on
    for event in () if first.moment is None else first.moment.trigger:
        if event in ends:
            yield (
                f"cancel_on names '{event}', with which the sequence begins (in '{first.name}'), "
                "so it can never be sent; take it out"
            )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads entry by entry, and goes on after a mistake, so that all of them are found."""

    names: Collection[str]
    mistakes: list[str]

    def take(self, how: Callable[[], Value], instead: Value) -> Value:
        """What is read; `instead` where it is wrong, which is noted."""
        try:
            return how()
        except InvalidCatalog as error:
            self.mistakes.extend(error.mistakes)
            return instead

    def allow(self, table: Table, keys: Collection[str]) -> None:
        """Note every key but these."""
        for key in table.values:
            one = Table(table.place, {key: None}, table.error)
            self.take(lambda one=one: one.allow(*keys), None)  # type: ignore[misc]

    def communication(self, file: Table, name: str) -> Communication | None:
        """One entry; None if it is no table, or has no proper name."""
        entry = self.take(lambda: _entry(file, name), None)
        if entry is None:
            return None
        self.allow(entry, _KEYS)
        message_class = self.take(lambda: entry.one_of("class", CLASSES), CLASSES[0])
        always: tuple[int | None, int | None] = (None, None)
        valid_from, valid_until = self.take(lambda: dates_of(entry), always)
        return Communication(
            name=name,
            title=self.take(lambda: line_of(entry, "title"), ""),
            channel=self.take(lambda: entry.one_of("channel", CHANNELS), ""),
            message_class=message_class,
            purpose=self.take(lambda: entry.one_of("purpose", PURPOSES), ""),
            personal=self.take(lambda: truth_or(entry, "personal", True), True),
            stages=self.take(lambda: stages_of(entry, message_class), ()),
            requires_flags=self.take(lambda: words_of(entry, "requires_flags", FLAGS), ()),
            blocked_by_flags=self.take(lambda: blocking_flags_of(entry, FLAGS), ()),
            where=self.conditions(entry),
            cost=self.take(lambda: entry.number("cost", 0, math.inf), 0.0),
            window_days=self.take(lambda: entry.whole("window_days", 1, 365), 1),
            discount_pct=self.take(lambda: number_or_zero(entry, "discount_pct", 100), 0.0),
            prior=self.prior(entry),
            capacity_per_week=self.take(lambda: capacity_of(entry), None),
            sells=self.take(lambda: truth_or(entry, "sells", True), True),
            moment=self.moment(entry),
            valid_from=valid_from,
            valid_until=valid_until,
            terms=self.take(lambda: line_of(entry, "terms") if entry.has("terms") else "", ""),
            approved=self.take(lambda: truth_or(entry, "approved", True), True),
            human=self.take(lambda: truth_or(entry, "human", False), False),
            rows=self.take(lambda: words_of(entry, "rows", ROWS), ()),
        )

    def conditions(self, entry: Table) -> tuple[Condition, ...]:
        """`where`, condition by condition."""
        none: tuple[str, ...] = ()
        texts = self.take(lambda: entry.texts("where") if entry.has("where") else (), none)
        found = (self.take(lambda t=t: condition_of(entry, t, self.names), None) for t in texts)  # type: ignore[misc]
        read = tuple(condition for condition in found if condition is not None)
        for one, other in unmeetable(read):
            self.mistakes.append(
                f"{entry.place}: where '{one.text}' and '{other.text}' are never true together, so "
                "it can never be sent; correct one of them"
            )
        return read

    def moment(self, entry: Table) -> Moment | None:
        """When its time comes; None where the entry names neither a trigger nor a step before."""
        none: tuple[str, ...] = ()
        trigger = self.take(lambda: events_of(entry, "trigger"), none)
        after = self.take(lambda: entry.text("after") if entry.has("after") else "", "")
        cancel_on = self.take(lambda: events_of(entry, "cancel_on"), none)
        delay = self.take(lambda: duration_of(entry, "delay", 0) if entry.has("delay") else 0, 0)
        waits = entry.has("trigger") or entry.has("after")
        within = self.take(lambda: duration_of(entry, "within", MINUTE) if waits else 0, 0)
        self.take(lambda: check_moment(entry, trigger, cancel_on), None)
        return Moment(trigger, after, delay, within, cancel_on) if waits else None

    def prior(self, entry: Table) -> Prior:
        """What the company believes, and where that comes from."""
        none = Table(entry.place, {}, entry.error)
        prior = self.take(lambda: entry.table("prior"), none)
        if prior is none:
            return Prior(0.0, 0.0, ("1",), 0.0, 1.0, "", False)
        self.allow(prior, _PRIOR_KEYS)
        source = self.take(lambda: source_of(prior), "")
        reviewed = self.take(lambda: truth_or(prior, "reviewed", True), False)
        return Prior(
            share=self.take(lambda: share_of(prior), 0.0),
            share_sd=self.take(lambda: prior.number("share_sd", 0, 1000), 0.0),
            of=self.take(lambda: factors_of(prior), ("1",)),
            opt_out=self.take(lambda: number_or_zero(prior, "opt_out", 1), 0.0),
            weight=self.take(lambda: prior.number("weight", 1, 1_000_000), 1.0),
            source=source,
            reviewed=reviewed and bool(source),
        )


def _entry(file: Table, name: str) -> Table:
    if name == NO_CONTACT or not _NAME.fullmatch(name):
        raise file.wrong(
            f"communication '{name}': the name must be small letters, digits and _, "
            f"and not '{NO_CONTACT}', which is always there; rename it"
        )
    if not isinstance(file.values[name], dict):
        raise file.wrong(f"unknown key '{name}'; each communication is a table, such as [{name}]")
    return Table(f"{file.place}: communication '{name}'", file.table(name).values, file.error)
