"""Moments: when the time of a communication comes, how long it lasts, and what ends it.

A moment rests on signals and on what was sent, never on a plan that somebody wrote down. So a
signal that comes late, twice or out of order, or a restart, cannot leave a wrong plan behind.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import Final

from features.signals import DAY, HOUR, MINUTE, SignalColumns, code
from models.language import Quantity, joined, phrase
from serving.catalog import Catalog, Communication, Moment
from serving.contact_policy import moment as time_words
from serving.records import Contact, Ledger
from serving.refusals import Obstacle

_UNITS: Final = ((DAY, "days"), (HOUR, "hours"), (MINUTE, "whole minutes"))


@dataclass(frozen=True, slots=True)
class Start:
    """What a moment counts from. Microseconds UTC.

    Attributes
    ----------
    began_at : int
        When the first trigger happened, from which on things may end it; of a sequence, the
        trigger of its first step.
    at : int
        What the delay counts from.
    what : str
        The event or the step, in words.
    """

    began_at: int
    at: int
    what: str


def last_occurrences(
    signals: SignalColumns, as_of: int, events: Collection[str]
) -> Mapping[str, int]:
    """When each of these events last happened, as known at `as_of`; those that did alone.

    Parameters
    ----------
    signals : SignalColumns
        One customer's own, sorted by `occurred_at`.
    """
    known = (signals.occurred_at < as_of) & (signals.received_at < as_of)
    # Later ones overwrite earlier ones.
    happened = zip(signals.event[known].tolist(), signals.occurred_at[known].tolist(), strict=True)
    last = dict(happened)
    return {event: last[code(event)] for event in events if code(event) in last}


def started(moment: Moment, last_at: Mapping[str, int]) -> Start | None:
    """The last of the events that the moment waits for; None if there was none."""
    found = [(last_at[event], event) for event in moment.trigger if event in last_at]
    if not found:
        return None
    at, event = max(found)
    return Start(at, at, event)


def opens_at(moment: Moment, start: Start) -> int:
    """When the time has come; it is over `moment.within` later. Microseconds UTC."""
    return start.at + moment.delay


def closes_at(moment: Moment, start: Start) -> int:
    """The first moment at which it is too late. Microseconds UTC."""
    return start.at + moment.delay + moment.within


def obstacles_of_moment(
    entry: Communication, last_at: Mapping[str, int], as_of: int
) -> tuple[Obstacle, ...]:
    """Why the time of an entry that waits for events has not come."""
    moment = entry.moment
    if moment is None or moment.after:
        return ()
    start = started(moment, last_at)
    if start is None:
        return (_not_happened(moment.trigger),)
    return _obstacles_since(moment, start, last_at, as_of)


def obstacles_of_past(
    entry: Communication, catalog: Catalog, last_at: Mapping[str, int], ledger: Ledger, as_of: int
) -> tuple[Obstacle, ...]:
    """What in the past of a customer, read under the lock, stands in the way of an entry.

    A step of a sequence comes after the step before it; a statement in a crisis only in one; and
    what a pause under review held back waits for a person.
    """
    moment = entry.moment
    found: tuple[Obstacle, ...] = ()
    if entry.message_class == "crisis" and not ledger.pauses:
        found = (_NO_CRISIS,)
    if moment is not None and ledger.reviewed:
        start = start_of(entry, catalog, last_at, ledger, as_of)
        found = (*found, *_under_review(entry, moment, start, ledger))
    if moment is None or not moment.after:
        return found
    start = _reached(moment.after, catalog, last_at, sent_at(ledger.contacts), as_of)
    if start is None:
        return (*found, _step_to_come(moment.after))
    # What ends a step ends those after it too.
    ends = (name for each in _back_from(moment, catalog) for name in each.cancel_on)
    whole = replace(moment, cancel_on=tuple(dict.fromkeys(ends)))
    return (*found, *_obstacles_since(whole, start, last_at, as_of))


def sent_at(contacts: Iterable[Contact]) -> Mapping[str, int]:
    """When each communication was last sent."""
    found: dict[str, int] = {}
    for contact in contacts:
        found[contact.communication] = max(contact.at, found.get(contact.communication, contact.at))
    return found


def start_of(
    entry: Communication, catalog: Catalog, last_at: Mapping[str, int], ledger: Ledger, as_of: int
) -> Start | None:
    """What the entry's moment counts from; None if it has none, or it has not begun."""
    moment = entry.moment
    if moment is None:
        return None
    if moment.after:
        return _reached(moment.after, catalog, last_at, sent_at(ledger.contacts), as_of)
    return started(moment, last_at)


def over_at(
    entry: Communication, catalog: Catalog, last_at: Mapping[str, int], ledger: Ledger, as_of: int
) -> int | None:
    """When it will be too late for a message, by its moment or its dates; None: never."""
    start = start_of(entry, catalog, last_at, ledger, as_of)
    ends = [entry.valid_until]
    if entry.moment is not None and start is not None:
        ends.append(closes_at(entry.moment, start))
    return min((end for end in ends if end is not None), default=None)


def sequence_days(entry: Communication, catalog: Catalog) -> int:
    """For how long the steps before an entry must be remembered, in days; 0: it is no step."""
    moments = () if entry.moment is None else tuple(_back_from(entry.moment, catalog))
    return ceil(sum(each.delay + each.within for each in moments if each.after) / DAY)


def in_words(length: int) -> Quantity:
    """A length of time in the largest unit that leaves no rest: ``2 hours``."""
    size, unit = next((pair for pair in _UNITS if length % pair[0] == 0), _UNITS[-1])
    return Quantity(length // size, unit)


def _obstacles_since(
    moment: Moment, start: Start, last_at: Mapping[str, int], as_of: int
) -> tuple[Obstacle, ...]:
    """Ended by something since, too early, or too late."""
    for event in moment.cancel_on:
        if last_at.get(event, -1) >= start.began_at:
            return (_ended(moment, event),)
    opens, closes = opens_at(moment, start), closes_at(moment, start)
    if as_of < opens:
        return (_too_early(moment, start, opens),)
    return (_too_late(moment, closes),) if as_of >= closes else ()


def _under_review(
    entry: Communication, moment: Moment, start: Start | None, ledger: Ledger
) -> Iterator[Obstacle]:
    """Its moment came before the end of a pause that held it back and is under review."""
    for pause in ledger.reviewed:
        held_back = pause.holds_back(entry.channel, entry.message_class, ledger.situation)
        if held_back and start is not None and opens_at(moment, start) < (pause.ended_at or 0):
            words = phrase(
                "{again} (pause {number} held it back: a person looks at it)",
                again=_again(moment),
                number=pause.number,
            )
            yield Obstacle("review", words)


_NO_CRISIS: Final = Obstacle("no_crisis", phrase("the crisis switch is turned on"))


def _step_to_come(step: str) -> Obstacle:
    return Obstacle("sequence", lambda: phrase("{step} was sent, or its moment is over", step=step))


def _ended(moment: Moment, event: str) -> Obstacle:
    return Obstacle(
        "cancelled",
        lambda: phrase("{again} ({event} ended its moment)", again=_again(moment), event=event),
    )


def _too_early(moment: Moment, start: Start, opens: int) -> Obstacle:
    def words() -> str:
        return phrase(
            "it is {time} after {what}: {moment}",
            time=in_words(moment.delay),
            what=start.what,
            moment=time_words(opens),
        )

    return Obstacle("delay", words, opens)


def _too_late(moment: Moment, closes: int) -> Obstacle:
    def words() -> str:
        over = time_words(closes)
        return phrase("{again} (its moment was over {moment})", again=_again(moment), moment=over)

    return Obstacle("moment_over", words)


def _again(moment: Moment) -> str:
    if not moment.trigger:
        return phrase("the sequence begins")
    return phrase("{event} happens again", event=_either(moment.trigger))


def _back_from(moment: Moment, catalog: Catalog) -> Iterator[Moment]:
    """The moment itself and those of the steps before it, back to the first."""
    step: Moment | None = moment
    while step is not None:
        yield step
        before = catalog.communications.get(step.after)
        step = None if before is None else before.moment


def _reached(
    step: str,
    catalog: Catalog,
    last_at: Mapping[str, int],
    sent: Mapping[str, int],
    as_of: int,
) -> Start | None:
    """When a step was sent, or skipped because its time passed; None if neither is so yet.

    A step is skipped where something better was said instead. The next one then counts from
    the end of its moment, so that nothing is made up for in haste. A step that was sent since
    the sequence began tells where it stands, whatever is remembered of the steps before.
    """
    entry = catalog.communications.get(step)
    if entry is None:
        return None
    moment, last = entry.moment, sent.get(step)
    if moment is None:
        return None if last is None else Start(last, last, step)
    began_at = _began_at(moment, catalog, last_at, sent)
    if began_at is not None and last is not None and last >= began_at:
        return Start(began_at, last, step)
    start = (
        _reached(moment.after, catalog, last_at, sent, as_of)
        if moment.after
        else started(moment, last_at)
    )
    if start is None:
        return None
    closes = closes_at(moment, start)
    return Start(start.began_at, closes, step) if as_of >= closes else None


def _began_at(
    moment: Moment, catalog: Catalog, last_at: Mapping[str, int], sent: Mapping[str, int]
) -> int | None:
    """When the sequence of a step began: its first trigger, or its first step if it has none."""
    first = list(_back_from(moment, catalog))[-1]
    if first.after:
        return sent.get(first.after)
    start = started(first, last_at)
    return None if start is None else start.at


@lru_cache(maxsize=1024)  # every decision needs dozens of them
def _not_happened(trigger: tuple[str, ...]) -> Obstacle:
    return Obstacle("trigger", phrase("{event} happens", event=_either(trigger)))


def _either(words: tuple[str, ...]) -> str:
    return joined("{these} or {that}", words)
