"""The smallest change of one thing that would put another communication first.

All net worths are straight lines in each score, cost, weight and effect, so that the change is
found where the first one's line crosses another's. Caution bends the rule where effects were
measured, and a message that is owed comes first at once: what the crossing does not confirm is
halved until it is found. Every change is tried in the order itself before it is told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Final

from models.bundle import EXPECTED_MARGIN
from models.expectation import SCORES
from models.language import Quantity, phrase
from serving.arbitration import in_order
from serving.records import NO_CONTACT, Candidate
from serving.worth import USUAL_MARGIN, Scene

HALVINGS: Final = 60  # as many as a float64 has digits to lose
# How far we look for money: beyond ten times the present, and some, nobody would call it a change.
TIMES: Final = 10.0
SOME: Final = 100.0
WEIGHTS: Final = (0.01, 10.0)  # those that policy.toml may state

Order = Callable[[float], tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class Thing:
    """What could be different.

    Attributes
    ----------
    what : str
        A score, `usual_margin`, ``cost``, ``weight`` or ``effect``.
    of : str
        The communication that has it; empty for scores.
    low, high : float
        Between which it makes sense.
    order : from a value to the candidates, best first
    """

    what: str
    of: str
    now: float
    low: float
    high: float
    order: Order

    @property
    def is_share(self) -> bool:
        """Whether it is a probability, told in percent."""
        return self.what in SCORES and self.what != EXPECTED_MARGIN

    @property
    def digit(self) -> float:
        """The smallest step that is told: a tenth of a percent, a cent, a hundredth."""
        return 0.001 if self.is_share else 0.01


@dataclass(frozen=True, slots=True)
class Flip:
    """One change that puts another first, all else as it is.

    Attributes
    ----------
    boundary : float
        Where the order changes, as exact as can be.
    value : float
        The nearest value beyond it that can be told; there another one is first.
    size : float
        How large a change it is: of a probability the difference, of all else its share of
        what it is now, or of one unit of currency if that is more.
    instead : str
        Who would be first.
    text : str
        The change in words.
    """

    what: str
    of: str
    now: float
    boundary: float
    value: float
    size: float
    instead: str
    text: str


def flips(scene: Scene) -> tuple[Flip, ...]:
    """For every score, cost, weight and effect its nearest change, the smallest one first."""
    found = [flip for thing in _things(scene) if (flip := _nearest(thing, scene)) is not None]
    return tuple(sorted(found, key=lambda one: (one.size, one.what, one.of)))


# ---- What could be different -------------------------------------------------------------


def _things(scene: Scene) -> Iterator[Thing]:
    inputs = [name for name in SCORES if scene.expectation.value(name) is not None]
    if scene.expectation.scores:
        inputs.append(USUAL_MARGIN)
    for name in inputs:
        now = scene.input(name)
        share = name in SCORES and name != EXPECTED_MARGIN
        high = 1.0 if share else _far(now)
        yield Thing(name, "", now, 0.0, high, lambda x, n=name: scene.with_input(n, x).order())  # type: ignore[misc]
    for one in scene.order()[:2]:
        if one.communication != NO_CONTACT:
            yield from _things_of(one, scene)


def _things_of(one: Candidate, scene: Scene) -> Iterator[Thing]:
    name = one.communication

    def costing(cost: float) -> tuple[Candidate, ...]:
        entries = tuple(replace(e, cost=cost) if e.name == name else e for e in scene.entries)
        return replace(scene, entries=entries).order()

    def weighing(weight: float) -> tuple[Candidate, ...]:
        weights = {**scene.policy.weights, name: weight}
        return replace(scene, policy=replace(scene.policy, weights=weights)).order()

    def doing(effect: float) -> tuple[Candidate, ...]:
        """Both what is expected here and what is usual in the stage move alike."""
        step = (effect - one.expected_effect) * one.weight
        weighed = [
            replace(
                each,
                candidate=replace(
                    each.candidate,
                    expected_effect=effect,
                    expected_net=each.candidate.expected_net + step,
                ),
                usual_net=each.usual_net + step,
            )
            if each.candidate.communication == name
            else each
            for each in scene.weighed()
        ]
        return in_order(weighed, scene.measured, scene.policy.z)

    cost = one.cost
    yield Thing("cost", name, cost, 0.0, _far(cost), costing)
    yield Thing("weight", name, one.weight, *WEIGHTS, weighing)
    far = _far(abs(one.expected_effect))
    yield Thing("effect", name, one.expected_effect, -far, far, doing)


def _far(amount: float) -> float:
    return TIMES * amount + SOME


# ---- Where the order changes -------------------------------------------------------------


def _nearest(thing: Thing, scene: Scene) -> Flip | None:
    """The nearer of the two ends' boundaries; None if no value changes who is first."""
    first = scene.order()[0].communication
    found = []
    for end in (thing.low, thing.high):
        boundary = _boundary(thing, first, end)
        if boundary is None:
            continue
        value = _told(thing, boundary, end)
        instead = thing.order(value)[0]
        if instead.communication != first:  # the last digit told may already be past the end
            found.append((abs(boundary - thing.now), boundary, value, instead))
    if not found:
        return None
    away, boundary, value, instead = min(found, key=lambda each: each[:2])
    size = away if thing.is_share else away / max(abs(thing.now), 1.0)
    text = _words(thing, value, instead, scene)
    return Flip(thing.what, thing.of, thing.now, boundary, value, size, instead.communication, text)


def _boundary(thing: Thing, first: str, end: float) -> float | None:
    """Where, on the way from now to `end`, another one comes first."""

    def stays(x: float) -> bool:
        return thing.order(x)[0].communication == first

    if end == thing.now or stays(end):
        return None
    crossing = _crossing(thing, first, end)
    hair = 1e-9 * max(1.0, abs(end - thing.now)) * (1 if end > thing.now else -1)
    if crossing is not None and not stays(crossing + hair) and stays(crossing - hair):
        return crossing
    inside, outside = thing.now, end
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        if stays(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _crossing(thing: Thing, first: str, end: float) -> float | None:
    """The first crossing of straight lines: the first one's net worth and another's."""
    here = {one.communication: one.expected_net for one in thing.order(thing.now)}
    there = {one.communication: one.expected_net for one in thing.order(end)}
    if first not in there:
        return None
    shares = []
    for name in here.keys() & there:
        gap, later = here[first] - here[name], there[first] - there[name]
        if name != first and gap * later <= 0 and gap != later:
            shares.append(gap / (gap - later))
    return thing.now + min(shares) * (end - thing.now) if shares else None


def _told(thing: Thing, boundary: float, end: float) -> float:
    """The nearest value beyond a boundary with as many digits as are told."""
    up = end > thing.now
    steps = boundary / thing.digit
    told = (floor(steps + 1e-6) + 1 if up else ceil(steps - 1e-6) - 1) * thing.digit
    return min(told, end) if up else max(told, end)


# ---- Words -------------------------------------------------------------------------------


def _words(thing: Thing, value: float, instead: Candidate, scene: Scene) -> str:
    titles = {entry.name: entry.title for entry in scene.entries}
    name = titles.get(instead.communication) or phrase("silence")
    what = thing_words(thing.what, titles.get(thing.of, ""))
    told, now = _number(thing, value), _number(thing, thing.now)
    if value > thing.now:
        return phrase(
            "{name} would be first if {what} were {value} or more, not {now}",
            name=name,
            what=what,
            value=told,
            now=now,
        )
    return phrase(
        "{name} would be first if {what} were {value} or less, not {now}",
        name=name,
        what=what,
        value=told,
        now=now,
    )


def thing_words(what: str, title: str = "") -> str:
    """What could be different, as it is called in a sentence."""
    match what:
        case "churn_risk":
            return phrase("the churn risk")
        case "repurchase_likelihood":
            return phrase("the likelihood of another order")
        case "promoter_likelihood":
            return phrase("the likelihood of a recommendation")
        case "expected_margin":
            return phrase("the expected margin")
        case "usual_margin":
            return phrase("the usual margin")
        case "cost":
            return phrase("the cost of '{title}'", title=title)
        case "weight":
            return phrase("the weight of '{title}'", title=title)
    return phrase("the effect of '{title}'", title=title)


def _number(thing: Thing, value: float) -> str | Quantity:
    if thing.is_share:
        return phrase("{number} %", number=Quantity(100 * value, ""))
    return Quantity(value, "currency")
