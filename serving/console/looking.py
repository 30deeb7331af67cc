"""What the service would answer for a customer just now, without deciding anything."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NotRequired, TypedDict, cast

from serving.answer import Surroundings, answer, money
from serving.desk import Question, is_offered, ready_to_choose
from serving.engine import Engine
from serving.event_cells import moment_of
from serving.records import Decision
from serving.storage.store import Store

MIDDLE: Final = 0.5


class SaidScore(TypedDict):
    """One score of an answer."""

    value: float | None
    low: float | None
    high: float | None
    window_days: int
    base_rate: float
    served_by: str
    note: str


class SaidReason(TypedDict):
    """One reason of an answer."""

    code: str
    score: str
    points: float
    direction: str
    text: str


class SaidOther(TypedDict):
    """Another communication that was allowed."""

    communication: str
    expected_net: float


class SaidRefusal(TypedDict):
    """A communication that was not allowed."""

    communication: str
    rule: str
    change: str


class Said(TypedDict):
    """What a page reads of an answer; the names are those of the public contract."""

    decision_id: str
    customer_id: str
    as_of: str
    valid_until: str
    communication: str
    name: str
    channel: str
    arm: str
    selection_probability: float
    not_before: str
    reconsider_at: str
    expected_effect: float
    standard_error: float
    cost: float
    expected_net: float
    fatigue: NotRequired[float]  # answers logged by older versions lack these three
    novelty: NotRequired[float]
    response: NotRequired[float]
    weight: NotRequired[float]
    currency: str
    effect_basis: str
    evidence: int
    stage: str
    flags: list[str]
    scores: dict[str, SaidScore]
    reasons: list[SaidReason]
    alternatives: list[SaidOther]
    refusals: list[SaidRefusal]
    consent: Mapping[str, str | None]
    fallback: bool
    note: str
    bundle: str
    data: Mapping[str, str | bool]


@dataclass(frozen=True, slots=True)
class Looking:
    """From where we look: one moment, one engine, one store."""

    store: Store
    engine: Engine
    surroundings: Surroundings
    as_of: int
    note: str = ""

    def without_reasons(self) -> "Looking":
        """The same without sentences, for a look at many; saves about 40 % of the time."""
        return replace(
            self,
            engine=replace(self.engine, texts=None),
            surroundings=replace(self.surroundings, sentences=False),
        )

    def title(self, communication: str) -> str:
        """A communication as a marketer calls it."""
        entry = self.engine.catalog.communications.get(communication)
        return "No contact" if entry is None else entry.title

    def message_class(self, communication: str) -> str:
        """Its class; of silence, none."""
        entry = self.engine.catalog.communications.get(communication)
        return "none" if entry is None else entry.message_class

    def requires(self, communication: str) -> tuple[str, ...]:
        """Flags of which it needs one."""
        entry = self.engine.catalog.communications.get(communication)
        return () if entry is None else entry.requires_flags

    def rests_on(self, communication: str) -> tuple[str, ...]:
        """Scores that its worth is a share of."""
        entry = self.engine.catalog.communications.get(communication)
        return () if entry is None else entry.prior.of


def said_of(customer_id: str, looking: Looking) -> Said:
    """The standing answer of a customer, else the likeliest one of a call at this moment.

    A call draws a number, and now and then tries what is not the best; a page that did the same
    would show somebody else's luck. It shows what would be chosen most often, and how often.
    """
    standing = looking.store.standing(customer_id, looking.as_of, "")
    if standing is not None and is_offered(standing, looking.engine.catalog):
        return cast(Said, json.loads(standing))
    return cast(Said, answer("", likeliest(customer_id, looking), looking.surroundings))


def likeliest(customer_id: str, looking: Looking) -> Decision:
    """The decision that a call would most often come to; nothing is logged or used up."""
    question = Question(customer_id, looking.as_of, MIDDLE)
    store, engine, note = looking.store, looking.engine, looking.note
    ready = ready_to_choose(question, store, engine, note)
    ledger = store.ledger(customer_id, looking.as_of, ready.limited)
    decision = ready.choose(ledger)
    order = [candidate.communication for candidate in decision.ranked]
    best = max(order, key=lambda name: (decision.probabilities[name], -order.index(name)))
    if decision.chosen.communication == best:
        return decision
    question = replace(question, uniform=draw_of(best, decision.probabilities))
    return ready_to_choose(question, store, engine, note).choose(ledger)


def seen_again(answer: Said, looking: Looking) -> Decision | None:
    """The decision behind an answer; None where what we know now gives another order.

    Chance is not drawn again: whatever was answered is what was chosen.
    """
    as_of = moment_of(answer["as_of"])
    if as_of is None or answer["fallback"]:
        return None
    decision = likeliest(answer["customer_id"], replace(looking, as_of=as_of))
    by_name = {one.communication: one for one in decision.ranked}
    said = (answer["communication"], *(one["communication"] for one in answer["alternatives"]))
    if decision.fallback or set(by_name) != set(said):
        return None
    chosen = by_name[answer["communication"]]
    if money(chosen.expected_net) != answer["expected_net"]:
        return None
    return replace(decision, chosen=chosen)


def draw_of(name: str, probabilities: Mapping[str, float]) -> float:
    """A number in [0, 1) that chooses `name`: the middle of its part of the line."""
    before = sum(share for other, share in probabilities.items() if other < name)
    return before + probabilities[name] / 2
