"""The next best communication for one customer: the page to read first.

We look at the customer, ask what is likely to come, keep the communications that suit, drop
those that may not be sent now, and weigh what is left against silence. The best is chosen,
except where we mean to learn; how likely each one was to be chosen is written down.

Nothing here reads a clock, a file or a random number. The moment, the signals and the drawn
number are given, so that every decision can be repeated and comes out the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Final

import numpy as np

from features.batch import feature_row
from features.signals import CONTACT_EVENTS, DAY, HOUR, SignalColumns, code, is_anonymous
from features.stage import stage
from features.traits import TIME_ZONE
from models.effects import NOTHING_MEASURED, CustomerEffects, state_of
from models.expectation import Expectation
from models.language import phrase
from serving.arbitration import SILENCE, ranked
from serving.catalog import Catalog, Communication
from serving.contact_policy import FOREMOST, NO_CONSENT, consent_for, obstacles_now
from serving.eligibility import eligible
from serving.engine import Engine
from serving.exploration import arm_of, choose, epsilon_for, selection_probabilities
from serving.fatigue import worn_by
from serving.flags import flags_up
from serving.moments import last_occurrences, obstacles_of_past, over_at
from serving.prices import priced, told_apart
from serving.records import (
    NO_CONTACT,
    Contact,
    Customer,
    Decision,
    Ledger,
    Refusal,
    Situation,
    Versions,
)
from serving.refusals import Obstacles, refusal_of
from serving.timing import timing_of_message, timing_of_silence

__all__ = [
    "Engine",
    "Proposal",
    "contacts_in_signals",
    "customer_at",
    "decide",
    "fallback",
    "propose",
    "settle",
]

# What we know of somebody whom we may not, or cannot, score: nothing.
UNSCORED: Final = Expectation(scores={}, usual_margin=0.0)

UNTRAINED: Final = phrase("no model has been trained yet; run `nextbest train`")

NOTHING_LEFT_OUT: Final[Obstacles] = {}

# How long a fallback holds: an hour spares a struggling service and loses no day.
FALLBACK_HOLDS: Final = HOUR

_CHANNEL_OF: Final[Mapping[int, str]] = {
    code(event): channel for event, channel in CONTACT_EVENTS.items()
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What can be said of a customer before we look at consents and past contacts.

    Attributes
    ----------
    entries : tuple of Communication
        Those that suit the customer.
    unsuited : mapping of communication to obstacles
        Those that do not, and what would have to change.
    left_out : mapping of communication to obstacles
        What the caller rules out; part of `unsuited` as well.
    measured : CustomerEffects
        What communications were measured to do to customers like this one.
    """

    customer: Customer
    expectation: Expectation
    flags: tuple[str, ...]
    entries: tuple[Communication, ...]
    unsuited: Obstacles
    left_out: Obstacles = field(default_factory=dict)
    measured: CustomerEffects = NOTHING_MEASURED


def decide(customer: Customer, engine: Engine, ledger: Ledger, uniform: float) -> Decision:
    """The next best communication for a customer, silence included.

    Parameters
    ----------
    customer : Customer
        See `customer_at`.
    ledger : Ledger
        Consents, objection and contacts at this very moment.
    uniform : float
        A number drawn evenly from [0, 1).
    """
    return settle(propose(customer, engine), engine, ledger, uniform)


def propose(
    customer: Customer,
    engine: Engine,
    objected: bool = False,
    left_out: Obstacles = NOTHING_LEFT_OUT,
) -> Proposal:
    """What is likely to come, and which communications suit. The slow half; needs no lock.

    Parameters
    ----------
    objected : bool
        Whether the customer objected to marketing: then no score is computed at all.
    left_out : mapping of communication to obstacles
        What the caller rules out.
    """
    expectation = UNSCORED if objected else expectation_of(customer, engine)
    flags = flags_up(customer.features, expectation, engine.policy)
    entries, unsuited = eligible(customer, flags, expectation, engine.catalog)
    measured = NOTHING_MEASURED if objected else effects_on(customer, expectation, engine)
    return _narrowed(Proposal(customer, expectation, flags, entries, unsuited, left_out, measured))


def settle(proposal: Proposal, engine: Engine, ledger: Ledger, uniform: float) -> Decision:
    """Drop what may not be sent now, weigh the rest, choose. The quick half; under the lock.

    Raises
    ------
    InvalidDraw
        If `uniform` is outside [0, 1).
    """
    customer, policy = proposal.customer, engine.policy
    as_of = customer.as_of
    if engine.bundle is None:
        return fallback(customer.customer_id, as_of, engine, UNTRAINED, customer.stage)

    # Whoever objected to marketing is not scored, and hears none.
    if ledger.objected:
        proposal = _without_scores_or_marketing(proposal, engine)

    # Consent, caps and the crisis switch, as they stand at this moment.
    ledger = replace(ledger, situation=_situation(proposal))
    allowed, refused, free_at = _allowed_now(proposal, ledger, engine)

    # What each message is worth beyond silence, and less what it costs; the best comes first.
    worn = worn_by(ledger.contacts, policy.fatigue, as_of)
    paid = {e.name: engine.prices.of(e, customer.customer_id, policy) for e in allowed}
    told = proposal.expectation
    weighed = ranked(priced(allowed, paid), told, worn, policy, proposal.measured)
    candidates = told_apart(weighed, paid)

    # How likely each one is to be chosen; then the choice.
    arm = arm_of(customer.customer_id, policy, as_of)
    epsilon = epsilon_for(proposal.expectation, policy)
    probabilities = selection_probabilities(candidates, arm, epsilon)
    name = choose(probabilities, uniform)

    # On what ground it is sent, and when.
    if name == NO_CONTACT:
        consent = NO_CONSENT
        timing = timing_of_silence(free_at, policy, as_of)
    else:
        entry = engine.catalog.communications[name]
        consent = consent_for(entry, ledger, policy)
        timing = timing_of_message(entry, policy, as_of, ledger.traits.get(TIME_ZONE, ""))
        over = over_at(entry, engine.catalog, customer.last_at, ledger, as_of)
        timing = timing.ended_by(over)
    listed = engine.catalog.communications.get(name)

    return Decision(
        customer_id=customer.customer_id,
        as_of=as_of,
        chosen=next(candidate for candidate in candidates if candidate.communication == name),
        arm=arm.name,
        arm_share=arm.share,
        probabilities=probabilities,
        ranked=candidates,
        refusals=refused,
        expectation=proposal.expectation,
        stage=customer.stage,
        flags=proposal.flags,
        consent=consent,
        not_before=timing.not_before,
        reconsider_at=timing.reconsider_at,
        valid_until=timing.valid_until,
        versions=engine.versions,
        terms="" if listed is None else listed.terms,
        human=listed is not None and listed.human,
    )


# ---- What we know ------------------------------------------------------------------------


def customer_at(customer_id: str, signals: SignalColumns, as_of: int, engine: Engine) -> Customer:
    """The customer as seen at a moment; signals of that moment or later change nothing.

    Parameters
    ----------
    signals : SignalColumns
        The customer's own, sorted by `occurred_at`; none at all is fine.
    as_of : int
        Microseconds UTC.
    """
    row = feature_row(engine.features, signals, as_of)
    features = dict(zip(engine.features.names, row.tolist(), strict=True))
    anonymous = is_anonymous(customer_id)
    at_stage = stage(features, anonymous, engine.stage_windows)
    last_at = last_occurrences(signals, as_of, engine.catalog.events)
    return Customer(customer_id, as_of, anonymous, features, at_stage, last_at)


def contacts_in_signals(
    signals: SignalColumns, as_of: int, days: int, catalog: Catalog | None = None
) -> tuple[Contact, ...]:
    """Messages of the last `days` that are known from signals, oldest first.

    Where a signal names a communication of the catalog, the contact is one of that name and
    class, whoever sent it.
    """
    listed = {} if catalog is None else catalog.communications
    by_code = {code(name): entry for name, entry in listed.items()}
    known = (signals.occurred_at < as_of) & (signals.received_at < as_of)
    recent = known & (signals.occurred_at > as_of - days * DAY)
    found = []
    for i in np.flatnonzero(recent):
        channel = _CHANNEL_OF.get(int(signals.event[i]))
        if channel is None:
            continue
        contact = Contact(at=int(signals.occurred_at[i]), channel=channel)
        named = by_code.get(int(signals.category[i]))
        if named is not None:
            contact = replace(contact, message_class=named.message_class, communication=named.name)
        found.append(contact)
    return tuple(found)


def expectation_of(customer: Customer, engine: Engine) -> Expectation:
    """Scores, money and reasons. Nothing is expected of a visitor, whom we do not know."""
    if engine.bundle is None or customer.anonymous:
        return UNSCORED
    row = np.array([customer.features[name] for name in engine.features.names])
    return engine.bundle.expect(row, engine.features, engine.texts)


def effects_on(customer: Customer, expectation: Expectation, engine: Engine) -> CustomerEffects:
    """What communications were measured to do to customers like this one; of a visitor, nothing."""
    if engine.bundle is None or engine.bundle.effects is None or customer.anonymous:
        return NOTHING_MEASURED
    state = state_of(expectation, customer.features, customer.stage)
    return engine.bundle.effects.on(state, customer.stage)


# ---- What may be sent --------------------------------------------------------------------


def _allowed_now(
    proposal: Proposal, ledger: Ledger, engine: Engine
) -> tuple[tuple[Communication, ...], tuple[Refusal, ...], tuple[int, ...]]:
    """What may be sent now, refusals of all else, and when time alone frees some of them.

    A refusal names all that stands in the way of its communication: that it does not suit the
    customer, and whatever of the contact policy would stop it too.
    """
    customer, catalog = proposal.customer, engine.catalog
    entries, as_of = catalog.communications.values(), customer.as_of
    policy_says = obstacles_now(entries, ledger, engine.policy, as_of)
    sendable, refused, free_at = set(), [], []
    for entry in entries:
        unsuited = proposal.unsuited.get(entry.name, ())
        held_back = (
            *policy_says[entry.name],
            *obstacles_of_past(entry, catalog, customer.last_at, ledger, as_of),
        )
        outranks = held_back and held_back[0].rule in FOREMOST
        obstacles = (*held_back, *unsuited) if outranks else (*unsuited, *held_back)
        refusal = refusal_of(entry.name, obstacles)
        if not held_back:
            sendable.add(entry.name)
        if refusal is None:
            continue
        refused.append(refusal)
        if refusal.until is not None:
            free_at.append(refusal.until)
    allowed = tuple(entry for entry in proposal.entries if entry.name in sendable)
    return allowed, tuple(refused), tuple(free_at)


def _narrowed(proposal: Proposal) -> Proposal:
    """The proposal without what the caller rules out; those refusals name the caller first."""
    left_out, unsuited = proposal.left_out, proposal.unsuited
    if not left_out:
        return proposal
    names = dict.fromkeys((*left_out, *unsuited))
    return replace(
        proposal,
        entries=tuple(entry for entry in proposal.entries if entry.name not in left_out),
        unsuited={name: (*left_out.get(name, ()), *unsuited.get(name, ())) for name in names},
    )


def _situation(proposal: Proposal) -> Situation:
    """What of the customer the contact policy asks for."""
    customer = proposal.customer
    return Situation(
        stage=customer.stage,
        flags=proposal.flags,
        ordered_at=_moment_of(customer, "days_since_last_order"),
        resolved_at=_moment_of(customer, "days_since_ticket_resolved"),
    )


def _moment_of(customer: Customer, feature: str) -> int | None:
    """When it was that a feature counts the days since; None if it never was."""
    days = customer.features[feature]
    return None if isnan(days) else customer.as_of - round(days * DAY)


def _without_scores_or_marketing(proposal: Proposal, engine: Engine) -> Proposal:
    """An objector is not scored, and whether marketing would suit is not asked: none is sent."""
    customer, listed = proposal.customer, engine.catalog.communications
    flags = (*flags_up(customer.features, UNSCORED, engine.policy), "objector")
    entries, unsuited = eligible(customer, flags, UNSCORED, engine.catalog)
    others = {name: each for name, each in unsuited.items() if not _is_marketing(listed[name])}
    return _narrowed(
        replace(
            proposal,
            expectation=UNSCORED,
            flags=flags,
            entries=entries,
            unsuited=others,
            measured=NOTHING_MEASURED,
        )
    )


def _is_marketing(entry: Communication) -> bool:
    return entry.message_class == "marketing"


# ---- When we cannot decide ---------------------------------------------------------------


def fallback(
    customer_id: str, as_of: int, engine: Engine | Versions, note: str, stage: str = "prospect"
) -> Decision:
    """Silence, because we could not decide; `note` says why. Nothing is learned from it.

    Parameters
    ----------
    engine : Engine or Versions
        What would have decided; the versions alone where no engine could be had.
    stage : str
        Of somebody who is not known at all we only know that they have not ordered.
    """
    return Decision(
        customer_id=customer_id,
        as_of=as_of,
        chosen=SILENCE,
        arm="policy",
        arm_share=1.0,
        probabilities={NO_CONTACT: 1.0},
        ranked=(SILENCE,),
        refusals=(),
        expectation=UNSCORED,
        stage="visitor" if is_anonymous(customer_id) else stage,
        flags=(),
        consent=NO_CONSENT,
        not_before=as_of,
        reconsider_at=as_of + FALLBACK_HOLDS,
        valid_until=as_of + FALLBACK_HOLDS,
        versions=engine.versions if isinstance(engine, Engine) else engine,
        fallback=True,
        note=note,
    )
