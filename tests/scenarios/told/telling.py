"""A story told: its signals come in over the wire, and every look is a real question.

The path is the service's own: `read_item`, the store, the features' kernel, the desk. Stated are
only the models (`company.bundle_of`), the clock, and the number drawn.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from told.company import engine_of
from told.lines import Line, lines_of, moment_of
from told.stories import Story, Then

from features.home import About
from features.signals import SECOND
from models.messages import load_languages
from serving.answer import Surroundings, time_text
from serving.decision import customer_at
from serving.desk import Question, answer_to
from serving.due import due_to
from serving.engine import Engine
from serving.events import Arrival, read_item
from serving.running import LOCALES
from serving.storage.inbox import ACCEPTED
from serving.storage.outcomes import Outcome, Report
from serving.storage.pauses import Wanted
from serving.storage.store import Store

ABOUT = About("A company of stories", clock="live", simulated=True)
EUROS = 0.00501  # answers are rounded to the cent
CHANCE = 1e-6


@dataclass
class Clock:
    """The store's clock, which stands at the moment of the story."""

    now: int

    def __call__(self) -> int:
        return self.now


@dataclass
class World:
    """Where a story is told."""

    story: Story
    store: Store
    engine: Engine
    clock: Clock
    now: int

    def at(self, text: str) -> int:
        return moment_of(text, self.now)


def complaints(story: Story, folder: Path) -> list[str]:
    """What did not come out as the story says, in words; none if all did."""
    now = moment_of(story.moment, 0)
    clock = Clock(now)
    found: list[str] = []
    with Store.open(folder / "store.db", clock) as store:
        world = World(story, store, engine_of(story, now - SECOND), clock, now)
        hear(world, beginning(world), now)
        for then in story.then:
            clock.now = world.at(then.at)
            told = [line for text in then.signals for line in lines_of(text, who(world, then), now)]
            hear(world, told, clock.now)
            switch(world, then)
            found += [f"{then.at}: {wrong}" for wrong in looked(world, then)]
    return found


def who(world: World, then: Then) -> str:
    return then.who or world.story.who


def beginning(world: World) -> list[Line]:
    """All that was heard before; what a customer allows is said with the first signal."""
    story, now = world.story, world.now
    found = []
    for name, texts in {story.who: story.signals, **story.others}.items():
        lines = [line for text in texts for line in lines_of(text, name, now)]
        found += lines
        if lines:
            first = min(lines, key=lambda line: line.item["timestamp"])
            ago = first.item["timestamp"].removesuffix("Z").replace("T", " ")[:19]
            for what in story.allows:
                channel, _, purpose = what.partition(":")
                said = f"{ago}: Consent Given {channel} {purpose or 'marketing'}"
                found += lines_of(said, name, now)
    return found


def hear(world: World, lines: list[Line], until: int) -> None:
    """Signals as they came in, one by one; every one must make sense."""
    by_time = sorted(lines, key=lambda line: line.heard_at)
    items = [read_item(line.item, Arrival(line.heard_at, None, "EUR")) for line in by_time]
    for line, verdict in zip(by_time, world.store.receive(items, until), strict=True):
        assert verdict.status == ACCEPTED, f"'{world.story.title}': {line.item}: {verdict}"
        assert not verdict.note, f"'{world.story.title}': {line.item}: {verdict.note}"


def switch(world: World, then: Then) -> None:
    """Turn the crisis switch."""
    if then.pause:
        world.store.pause(Wanted(**then.pause))
    if then.resume:
        world.store.end_pause(review=then.review)


@cache
def surroundings() -> Surroundings:
    """What stands in every answer."""
    return Surroundings(ABOUT, "EUR", load_languages((LOCALES,)))


# ---- Looking at what came out ------------------------------------------------------------


def looked(world: World, then: Then) -> Iterator[str]:
    """One look, and what of it is not as the story says."""
    as_of = world.clock.now
    yield from features_wrong(world, then, as_of)
    if then.stage and not then.hears:
        yield from stage_wrong(world, then, as_of)
    if then.due is not None:
        yield from due_wrong(world, then, as_of)
    if then.hears:
        answer = asked(world, then, as_of)
        yield from (f"{who(world, then)} {wrong}" for wrong in answer_wrong(world, then, answer))
        if then.reported:
            report(world, then, answer, as_of)


def asked(world: World, then: Then, as_of: int) -> dict[str, Any]:
    question = Question(
        who(world, then),
        as_of,
        then.drawn,
        channels=then.channels,
        exclude=then.exclude,
        trigger=then.trigger,
        locale=then.locale,
    )
    answer: dict[str, Any] = json.loads(
        answer_to(question, world.store, world.engine, surroundings())
    )
    return answer


def report(world: World, then: Then, answer: Mapping[str, Any], as_of: int) -> None:
    """What the CRM says became of the message."""
    world.clock.now = as_of + SECOND
    entries = world.engine.catalog.communications.values()
    kept = Report(as_of + SECOND, as_of + SECOND, {each.name: each.purpose for each in entries})
    world.store.keep_outcome(Outcome(answer["decision_id"], then.reported, as_of + SECOND), kept)


def due_wrong(world: World, then: Then, as_of: int) -> Iterator[str]:
    """What is due now, as the call for what is due finds it."""
    name, store, engine = who(world, then), world.store, world.engine
    found = due_to(name, as_of, lambda: then.drawn, store, engine, surroundings())
    said = [json.loads(answer) for answer in found.values() if answer is not None]
    names = [each["communication"] for each in said]
    if names != list(then.due or ()):
        yield f"due to {name} should be {list(then.due or ())}, but is {names}"
    for each in said if then.reported else ():
        report(world, then, each, as_of)


def features_wrong(world: World, then: Then, as_of: int) -> Iterator[str]:
    signals = world.store.customer_signals(who(world, then))
    if not then.features or signals is None:
        return
    known = customer_at(who(world, then), signals, as_of, world.engine).features
    for name, wanted in then.features.items():
        found = known[name]
        if math.isnan(found) if wanted == "unknown" else abs(found - wanted) < 5e-4:
            continue
        yield f"'{name}' should be {wanted}, but is {found:g}"


def stage_wrong(world: World, then: Then, as_of: int) -> Iterator[str]:
    """A look at the stage alone, which decides and logs nothing."""
    signals = world.store.customer_signals(who(world, then))
    assert signals is not None
    found = customer_at(who(world, then), signals, as_of, world.engine).stage
    if found != then.stage:
        yield f"the stage should be {then.stage}, but is {found}"


def answer_wrong(world: World, then: Then, answer: Mapping[str, Any]) -> Iterator[str]:
    """Everything in the answer that is not as the story says."""
    if answer["communication"] != then.hears:
        yield f"should hear {then.hears}, but hears {answer['communication']}{why(then, answer)}"
        return
    for key, wanted in plain(then).items():
        if wanted and answer[key] != wanted:
            yield f"'{key}' should be {wanted!r}, but is {answer[key]!r}"
    for key, text in moments(then).items():
        if text and answer[key] != time_text(world.at(text)):
            yield f"'{key}' should be {text} ({time_text(world.at(text))}), but is {answer[key]}"
    for key, number in numbers(then).items():
        near = CHANCE if key == "selection_probability" else EUROS
        if number is not None and abs(answer[key] - number) > near:
            yield f"'{key}' should be {number}, but is {answer[key]}"
    yield from rest_wrong(then, answer)
    yield from list_wrong(then, answer)


def rest_wrong(then: Then, answer: Mapping[str, Any]) -> Iterator[str]:
    """What is neither a text, a moment nor a number."""
    if then.consent and answer["consent"]["basis"] != then.consent:
        yield f"consent should be {then.consent}, but is {answer['consent']}"
    if then.human is not None and answer["human"] != then.human:
        yield f"'human' should be {then.human}, but is {answer['human']}"
    if then.flags is not None and set(answer["flags"]) != set(then.flags):
        yield f"flags should be {list(then.flags)}, but are {answer['flags']}"
    if then.note not in answer["note"]:
        yield f"the note should say '{then.note}', but says '{answer['note']}'"


def plain(then: Then) -> dict[str, str]:
    return {
        "stage": then.stage,
        "arm": then.arm,
        "effect_basis": then.basis,
        "terms": then.terms,
    }


def moments(then: Then) -> dict[str, str]:
    return {
        "reconsider_at": then.reconsider,
        "not_before": then.not_before,
        "valid_until": then.valid_until,
    }


def numbers(then: Then) -> dict[str, float | None]:
    return {
        "selection_probability": then.probability,
        "expected_effect": then.effect,
        "expected_net": then.net,
        "evidence": then.evidence,
    }


def list_wrong(then: Then, answer: Mapping[str, Any]) -> Iterator[str]:
    """Scores, refusals and what else may be sent."""
    if then.scores is not None:
        found = {name: score["value"] for name, score in answer["scores"].items()}
        wanted = dict(then.scores)
        if not wanted and found:
            yield f"nothing should be predicted, but there is {found}"
        for name, value in wanted.items():
            note = answer["scores"][name]["note"] if isinstance(value, str) else None
            if (note if note is not None else round(found[name], 2)) != value:
                yield f"'{name}' should be {value}, but is {found[name]} {note or ''}"
    refusals = {each["communication"]: each for each in answer["refusals"]}
    for name, text in then.refused.items():
        rule, _, words = text.partition(": ")
        refusal = refusals.get(name, {"rule": "none: it may be sent", "change": ""})
        if refusal["rule"] != rule or words not in refusal["change"]:
            yield f"{name} should be refused by '{text}', but is by {described(refusal)}"
    others = [each["communication"] for each in answer["alternatives"]]
    for name in then.allowed:
        if name not in (*others, answer["communication"]):
            refusal = described(refusals.get(name, {"rule": "nothing", "change": "?"}))
            yield f"{name} should be allowed, but is refused by {refusal}"


def described(refusal: Mapping[str, Any]) -> str:
    return f"'{refusal['rule']}: {refusal['change']}'"


def why(then: Then, answer: Mapping[str, Any]) -> str:
    """What stood in the way of the one that was expected, or what was worth more."""
    for refusal in answer["refusals"]:
        if refusal["communication"] == then.hears:
            return f"; {then.hears} is refused by {described(refusal)}"
    worth = {each["communication"]: each["expected_net"] for each in answer["alternatives"]}
    chosen = f"{answer['communication']} is worth {answer['expected_net']}"
    others = ", ".join(f"{name} {net}" for name, net in list(worth.items())[:6])
    stage = f"stage {answer['stage']}, flags {', '.join(answer['flags']) or 'none'}"
    return f"; {chosen}; also {others}; {stage}; note '{answer['note']}'"
