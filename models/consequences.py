"""What else must change in a row when some of its features are changed by hand.

Two e-mails fewer are two messages fewer; no message this week means that the last one was more
than a week ago. Where several rows would fit, the one is taken that changes least. What no
customer could be is refused.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Final

from features.relations import Fading, Parts, Recency, Relations

NOTHING: Final = float("nan")


class Impossible(ValueError):
    """Changes that no customer's signals could bring about together."""


def consequences(
    values: Mapping[str, float], changes: Mapping[str, float], known: Relations
) -> dict[str, float]:
    """Every value that differs from `values` once `changes` are made, the changes included.

    Parameters
    ----------
    values : mapping of feature name to float
        The whole row; NaN where there is no value.
    changes : mapping of feature name to float

    Raises
    ------
    Impossible
        If the changes contradict each other, or what stays as it is.
    """
    draft = _Draft(values, changes, known)
    for step in (_messages_of_recency, _wholes, _parts, _recencies, _fadings, _shares):
        step(draft)
    _require_possible(draft)
    return {name: value for name, value in draft.now.items() if _differs(value, values[name])}


@dataclass(slots=True)
class _Draft:
    """A row in the making: as it was, what was asked for, and as it is now."""

    before: Mapping[str, float]
    asked: Mapping[str, float]
    known: Relations
    now: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.now = {**self.before, **self.asked}

    def change(self, name: str) -> float:
        """By how much a value changed."""
        return self.now[name] - self.before[name]


def _messages_of_recency(draft: _Draft) -> None:
    """A stated time since the last one says in which windows there is any."""
    for each in draft.known.recencies:
        if each.days in draft.asked and each.count not in draft.asked:
            if draft.asked[each.days] > each.window:
                draft.now[each.count] = 0.0
            else:
                draft.now[each.count] = max(draft.now[each.count], 1.0)


def _wholes(draft: _Draft) -> None:
    """A whole changes by what its parts change, and holds at least those that were asked for."""
    held = {each.count for each in draft.known.recencies if each.days in draft.asked}
    for whole in draft.known.wholes:
        name = whole.name
        moved = max((_together(each, draft.change) for each in whole.parts), key=abs)
        if name in draft.asked or (name in held and draft.now[name] == 0):
            continue
        if moved or name in held:
            least = 1.0 if name in held else 0.0
            asked = max(
                _together(each, lambda part: draft.asked.get(part, 0.0)) for each in whole.parts
            )
            draft.now[name] = max(draft.now[name] + moved, asked, least)


def _parts(draft: _Draft) -> None:
    """Parts that no longer fit into their whole give way, the largest first."""
    for whole in reversed(draft.known.wholes):
        if draft.change(whole.name) == 0:
            continue
        for parts in whole.parts:
            free = sorted(
                (name for name in parts.names if name not in draft.asked),
                key=lambda name: (-draft.now[name], name),
            )
            for name in free:
                excess = _together(parts, draft.now.__getitem__) - draft.now[whole.name]
                if excess > 0:
                    draft.now[name] = max(0.0, draft.now[name] - excess)


def _recencies(draft: _Draft) -> None:
    """The time since the last one, where it follows from the counts."""
    by_days: dict[str, list[Recency]] = {}
    for each in draft.known.recencies:
        by_days.setdefault(each.days, []).append(each)
    for days, all_of_it in by_days.items():
        if days in draft.asked or all(draft.change(each.count) == 0 for each in all_of_it):
            continue
        some = [each.window for each in all_of_it if draft.now[each.count] >= 1]
        none = [each.window for each in all_of_it if draft.now[each.count] < 1]
        latest, earliest = max(none, default=0.0), min(some, default=inf)
        if latest < draft.now[days] <= earliest:
            continue
        if isnan(draft.now[days]) and earliest == inf:
            continue
        # A day past the window without any; else the middle of the window that has one.
        middle = latest + 1.0 if earliest == inf else (latest + earliest) / 2
        draft.now[days] = min(latest + 1.0, middle) if latest else middle


def _fadings(draft: _Draft) -> None:
    """A fading count, as if what came or went were spread evenly over the days of its window."""
    for each in draft.known.fadings:
        if each.fading not in draft.asked:
            since, counted, moved = 0, 0.0, 0.0
            for window, name in each.counts:
                change = draft.change(name)
                if change != counted:
                    moved += (change - counted) * _mean_weight(each, since, window)
                since, counted = window, change
            draft.now[each.fading] = max(0.0, draft.now[each.fading] + moved)


def _shares(draft: _Draft) -> None:
    """A share keeps what it is a share of: one answer to two surveys becomes one to three."""
    for each in draft.known.shares:
        if each.share in draft.asked or draft.change(each.count) == 0:
            continue
        of, before = draft.now[each.count], draft.before[each.count]
        had = 0.0 if isnan(draft.before[each.share]) else draft.before[each.share] * before
        draft.now[each.share] = had / of if of else NOTHING


def _require_possible(draft: _Draft) -> None:
    now = draft.now
    touched = {name for name in now if _differs(now[name], draft.before[name])}
    for whole in draft.known.wholes:
        for parts in whole.parts:
            concerned = touched.intersection((whole.name, *parts.names))
            if concerned and _together(parts, now.__getitem__) > now[whole.name]:
                raise Impossible(
                    f"{whole.name} = {now[whole.name]:g} with {_listed(now, parts.names)}: it "
                    "counts all that its parts count; change them together"
                )
    for each in draft.known.bounds:
        if now[each.small] > now[each.large] and touched & {each.small, each.large}:
            raise Impossible(
                f"{each.small} = {now[each.small]:g} with {each.large} = {now[each.large]:g}: "
                f"it is at most {each.large}; stay below"
            )
    for recency in draft.known.recencies:
        if touched & {recency.days, recency.count}:
            lately = now[recency.days] <= recency.window  # NaN: False
            if lately != (now[recency.count] >= 1):
                raise Impossible(
                    f"{recency.days} = {now[recency.days]:g} with {recency.count} = "
                    f"{now[recency.count]:g}: one of them says that there was one within "
                    f"{recency.window:g} days, the other that there was none; change them together"
                )


def _differs(one: float, other: float) -> bool:
    return one != other and not (isnan(one) and isnan(other))


def _together(parts: Parts, value: Callable[[str], float]) -> float:
    """What parts of one window come to: their sum, or the largest where they share signals."""
    each = [value(name) for name in parts.names]
    return sum(each) if parts.apart else max(each, key=abs)


def _mean_weight(fading: Fading, since: int, until: int) -> float:
    """Mean of ``2 ** (-age / half_life)`` over the ages from `since` to `until`, in whole days."""
    weights = [2.0 ** (-age / fading.half_life) for age in range(since, until)]
    return math.fsum(weights) / len(weights)


def _listed(values: Mapping[str, float], names: Iterable[str]) -> str:
    return ", ".join(f"{name} = {values[name]:g}" for name in names)
