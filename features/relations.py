"""What definitions imply about each other: seven days lie within 28, an e-mail is a message.

Whoever changes one feature of a customer by hand must change those that it implies. The
implications are read from the expressions, so a new feature brings its own along.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import inf
from typing import Final

from features.algebra import Feature, FeatureSet
from features.expressions import Expression, Measure

COUNTING: Final = ("count", "distinct_days", "distinct_weeks", "distinct_categories", "answered")


@dataclass(frozen=True, slots=True)
class Parts:
    """Counts over one window; whatever they count, a larger count counts too.

    Attributes
    ----------
    apart : bool
        Whether no signal is counted by two of them, so that their sum is a part as well.
    """

    names: tuple[str, ...]
    apart: bool


@dataclass(frozen=True, slots=True)
class Whole:
    """A count, and the counts that are parts of it, those of one window together."""

    name: str
    parts: tuple[Parts, ...]


@dataclass(frozen=True, slots=True)
class AtMost:
    """`small` is never above `large`, though it counts something else."""

    small: str
    large: str


@dataclass(frozen=True, slots=True)
class Recency:
    """`days` is at most `window` exactly where `count` is one or more."""

    days: str
    count: str
    window: float


@dataclass(frozen=True, slots=True)
class Share:
    """`share` is something divided by `count`."""

    share: str
    count: str


@dataclass(frozen=True, slots=True)
class Fading:
    """`fading` counts what `counts` count, each (window in days, name), less for its age."""

    fading: str
    half_life: int
    counts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Relations:
    """All that the definitions of a feature set imply about each other.

    Attributes
    ----------
    wholes : tuple of Whole
        A whole that is a part of another stands before it.
    whole_numbers : frozenset of str
        Features that can only be whole numbers.
    """

    wholes: tuple[Whole, ...]
    bounds: tuple[AtMost, ...]
    recencies: tuple[Recency, ...]
    shares: tuple[Share, ...]
    fadings: tuple[Fading, ...]
    whole_numbers: frozenset[str]


def relations(features: FeatureSet) -> Relations:
    """The implications among the features of a set."""
    counts = [
        (each.name, measure)
        for each in features.features
        if (measure := _alone(each.expression)) and measure.operation == "count"
    ]
    by_measure = {measure: name for name, measure in counts}
    return Relations(
        wholes=tuple(_wholes(counts)),
        bounds=tuple(_bounds(features.features, by_measure)),
        recencies=tuple(_recencies(features.features, counts)),
        shares=tuple(
            Share(each.name, by_measure[steps[1]])
            for each in features.features
            if len(steps := each.expression.steps) == 3
            and steps[2] == "divide"
            and isinstance(steps[1], Measure)
            and steps[1] in by_measure
        ),
        fadings=tuple(_fadings(features.features, counts)),
        whole_numbers=frozenset(
            each.name for each in features.features if _is_whole(each.expression)
        ),
    )


_Counts = list[tuple[str, Measure]]


def _wholes(counts: _Counts) -> list[Whole]:
    found = []
    for whole, large in counts:
        by_window: dict[float, _Counts] = {}
        for part, small in counts:
            if part != whole and _within(small, large):
                by_window.setdefault(_days(small), []).append((part, small))
        families = tuple(
            Parts(tuple(name for name, _ in parts), _apart([measure for _, measure in parts]))
            for _, parts in sorted(by_window.items())
        )
        if families:
            found.append(Whole(whole, families))
    # Whatever is a part of a part is a part: the smaller of two nested wholes has fewer.
    return sorted(found, key=lambda each: (sum(len(p.names) for p in each.parts), each.name))


def _within(small: Measure, large: Measure) -> bool:
    """Whether a larger count takes in every signal of a smaller one."""
    events = not large.events or bool(small.events and set(small.events) <= set(large.events))
    return events and _days(small) <= _days(large)


def _apart(measures: list[Measure]) -> bool:
    return all(
        bool(one.events and other.events) and not set(one.events) & set(other.events)
        for one, other in combinations(measures, 2)
    )


def _bounds(features: tuple[Feature, ...], by_measure: dict[Measure, str]) -> Iterator[AtMost]:
    """``count - something`` is at most ``count``."""
    for each in features:
        steps = each.expression.steps
        if len(steps) == 3 and steps[2] == "subtract" and isinstance(steps[0], Measure):
            removed = steps[1]
            if steps[0] in by_measure and isinstance(removed, Measure):
                yield AtMost(each.name, by_measure[steps[0]])


def _recencies(features: tuple[Feature, ...], counts: _Counts) -> Iterator[Recency]:
    for each in features:
        measure = _alone(each.expression)
        if measure and measure.operation == "recency":
            for name, counted in counts:
                if counted.events == measure.events:
                    yield Recency(each.name, name, _days(counted))


def _fadings(features: tuple[Feature, ...], counts: _Counts) -> Iterator[Fading]:
    for each in features:
        measure = _alone(each.expression)
        if measure and measure.operation == "decayed_count":
            mine = sorted(
                (counted.window, name)
                for name, counted in counts
                if counted.events == measure.events and counted.window
            )
            yield Fading(each.name, measure.half_life, tuple(mine))


def _alone(expression: Expression) -> Measure | None:
    """The one measure that an expression consists of, if it does."""
    step = expression.steps[0]
    return step if len(expression.steps) == 1 and isinstance(step, Measure) else None


def _days(measure: Measure) -> float:
    return measure.window or inf


def _is_whole(expression: Expression) -> bool:
    """Whether it can only be a whole number."""
    return all(
        step.operation in COUNTING if isinstance(step, Measure) else step in ("add", "subtract")
        for step in expression.steps
    )
