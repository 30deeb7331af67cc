"""Every entry of the shipped catalog: somebody whom it suits, and the nearest whom it does not."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from features.definitions import FEATURES
from features.signals import DAY, MINUTE
from models.expectation import ODDS_RATIOS, SCORES, Expectation, Score
from serving.catalog import ROWS, SHIPPED, load_catalog
from serving.communication import Communication, Condition
from serving.eligibility import obstacles_of
from serving.moments import obstacles_of_past
from serving.records import Contact, Customer, Ledger, Pause

T = 1_793_534_400_000_000
CATALOG = load_catalog(SHIPPED, FEATURES.names)
ENTRIES = CATALOG.communications
PAGE = Path(__file__).parents[3] / "docs" / "catalog.md"
Case = tuple[Customer, tuple[str, ...], Expectation, Ledger]


def ready(entry: Communication) -> Communication:
    """The entry once somebody has reviewed and approved it."""
    prior = replace(entry.prior, source=entry.prior.source or "Ours", reviewed=True)
    return replace(entry, prior=prior, approved=True)


def rules(entry: Communication, case: Case) -> list[str]:
    customer, flags, told, ledger = case
    found = (
        *obstacles_of(entry, customer, flags, told),
        *obstacles_of_past(entry, CATALOG, customer.last_at, ledger, T),
    )
    return [obstacle.rule for obstacle in found]


def meeting(conditions: list[Condition]) -> float:
    """The number nearest to 0 that meets all conditions on one feature."""
    steps = {c.number + step for c in conditions for step in (-0.001, 0.0, 0.001)}
    return min((n for n in steps if all(c.holds(n) for c in conditions)), key=abs)


def suiting(entry: Communication) -> Case:
    """Somebody whom the entry suits, from its own conditions and nothing else."""
    numbers = {
        name: meeting([c for c in entry.where if c.feature == name])
        for name in {c.feature for c in entry.where}
    }
    features = {name: numbers.get(name, 0.0) for name in FEATURES.names}
    scores = {n: Score(n, numbers.get(n, 0.5), 28, 0.3, "base_rate") for n in SCORES}
    for ratio, n in ODDS_RATIOS.items():
        if ratio in numbers:
            scores[n] = replace(scores[n], value=likely(numbers[ratio], scores[n]))
    last_at, contacts, moment = {}, (), entry.moment
    if moment is not None and moment.after:
        before = moment.after
        contacts = (Contact(T - moment.delay, "email", "marketing", before),)
        first = ENTRIES[before]
        while first.moment and first.moment.after:
            contacts += (Contact(T - 100 * DAY, "email", "marketing", first.moment.after),)
            first = ENTRIES[first.moment.after]
        started = T - 104 * DAY if len(contacts) > 1 else T - moment.delay - MINUTE
        last_at = {first.moment.trigger[0]: started} if first.moment else {}
    elif moment is not None:
        last_at = {moment.trigger[0]: T - moment.delay - 1}
    name = "anon:v" if entry.stages[0] == "visitor" else "C-1"
    customer = Customer(name, T, name != "C-1", features, entry.stages[0], last_at)
    pauses = (Pause(1, "storm", T - DAY),) if entry.message_class == "crisis" else ()
    ledger = Ledger(consents={}, contacts=contacts, pauses=pauses)
    return customer, entry.requires_flags[:1], Expectation(scores, usual_margin=9.0), ledger


def likely(ratio: float, score: Score) -> float:
    """The probability whose odds are so many times those of the base rate, and a hair more."""
    odds = (ratio + 1e-9) * score.base_rate / (1 - score.base_rate)
    return odds / (1 + odds)


def unmet(condition: Condition, entry: Communication, case: Case) -> Case:
    """The case but for one condition, which it just does not meet."""
    customer, flags, told, ledger = case
    name = condition.feature
    steps = (condition.number + step for step in (0.001, -0.001, 0.0))
    off = next(n for n in steps if not condition.holds(n))
    stage = next(each for each in entry.stages if each not in condition.unless)
    if condition.unless:
        customer = replace(customer, stage=stage)
    if name in customer.features:
        return replace(customer, features={**customer.features, name: off}), flags, told, ledger
    score = told.scores[ODDS_RATIOS.get(name, name)]
    value = likely(off, score) if name in ODDS_RATIOS else off
    scores = {**told.scores, score.name: replace(score, value=value)}
    return customer, flags, replace(told, scores=scores), ledger


def nearest(entry: Communication) -> Iterator[tuple[str, Case]]:
    """Cases that differ from the suiting one in a single thing, and the rule that says no."""
    customer, flags, told, ledger = suiting(entry)
    yield "stage", (replace(customer, stage="none"), flags, told, ledger)
    if entry.requires_flags:
        yield "flag_required", (customer, (), told, ledger)
    for flag in entry.blocked_by_flags:
        yield "flag_blocks", (customer, (*flags, flag), told, ledger)
    for condition in entry.where:
        yield "where", unmet(condition, entry, (customer, flags, told, ledger))
    if entry.message_class == "crisis":
        yield "no_crisis", (customer, flags, told, replace(ledger, pauses=()))
    moment = entry.moment
    if moment is None:
        return
    if moment.after:
        unsent = replace(ledger, contacts=())
        yield "sequence", (replace(customer, last_at={}), flags, told, unsent)
        early = tuple(replace(c, at=c.at + 1) for c in ledger.contacts[:1])
        yield (
            "delay",
            (customer, flags, told, replace(ledger, contacts=early + ledger.contacts[1:])),
        )
    else:
        yield "trigger", (replace(customer, last_at={}), flags, told, ledger)
        at = {moment.trigger[0]: T - moment.delay - moment.within}
        yield "moment_over", (replace(customer, last_at=at), flags, told, ledger)
        if moment.delay:
            at = {moment.trigger[0]: T - moment.delay + 1}
            yield "delay", (replace(customer, last_at=at), flags, told, ledger)
    for event in moment.cancel_on:
        ended = {**customer.last_at, event: T - 1}
        yield "cancelled", (replace(customer, last_at=ended), flags, told, ledger)


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_suits_somebody_and_not_the_nearest(name: str) -> None:
    entry = ready(ENTRIES[name])
    assert rules(entry, suiting(entry)) == []
    seen = set()
    for rule, case in nearest(entry):
        assert rules(entry, case)[:1] == [rule], rule
        seen.add(rule)
    assert "stage" in seen


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_waits_for_review_approval_and_terms(name: str) -> None:
    entry = ready(ENTRIES[name])
    case = suiting(entry)
    sourceless = replace(entry, prior=replace(entry.prior, source="", reviewed=False))
    assert rules(sourceless, case) == ["not_reviewed"]
    doubted = replace(entry, prior=replace(entry.prior, reviewed=False))
    assert rules(doubted, case) == ["not_reviewed"]
    assert rules(replace(entry, approved=False), case) == ["not_approved"]
    assert rules(replace(entry, discount_pct=5.0, terms=""), case) == ["no_terms"]
    assert rules(replace(entry, valid_from=T + 1), case) == ["dates"]
    assert rules(replace(entry, valid_from=T, valid_until=T + 1), case) == []
    assert rules(replace(entry, valid_until=T), case) == ["dates"]


def test_entries_as_shipped_that_wait_for_somebody() -> None:
    waiting = {n for n, entry in ENTRIES.items() if rules(entry, suiting(ready(entry)))}
    assert waiting == {
        "customer_stories",
        "acted_on_feedback",
        "product_recommendations",
        "webinar_invitation",
        "exclusive_event",
        "early_access",
        "postcard_to_lapsed",
        "crisis_statement",
    }


def test_page_names_every_row_and_what_shows_it() -> None:
    shown: dict[str, list[str]] = {row: [] for row in ROWS}
    for entry in ENTRIES.values():
        for row in entry.rows:
            shown[row].append(entry.name)
    lines = re.findall(r"^\| (CM\d+) \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    assert [row for row, _, _ in lines] == list(ROWS)
    for row, _, told in lines:
        named = re.findall(r"`(\w+)`", told)
        if shown[row]:
            assert named == shown[row], row
        else:
            assert told.startswith("left out: "), row
    assert {row for row, names in shown.items() if not names} == {"CM6", "CM35"}
