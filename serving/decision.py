"""The next best communication for one customer: the page to read first.

We look at the customer, ask what is likely to come, keep the communications that suit, drop
those that may not be sent now, and weigh what is left against silence. The best is chosen,
except where we mean to learn; how likely each one was to be chosen is written down.

Nothing here reads a clock, a file or a random number. The moment, the signals and the drawn
number are given, so that every decision can be repeated and comes out the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from serving.contact_policy import NO_CONSENT, consent_for
from serving.eligibility import eligible
from serving.engine import Engine
from serving.exploration import arm_of, choose, epsilon_for, selection_probabilities
from serving.fatigue import worn_by
from serving.flags import flags_up
from serving.moments import last_occurrences, over_at
from serving.prices import priced, told_apart
from serving.proposal import Proposal, of_an_objector
from serving.records import NO_CONTACT, Candidate, Contact, Customer, Decision, Ledger, Versions
from serving.responses import answer_times, factors, is_answered
from serving.screening import screened
from serving.timing import Timing, timing_of_message, timing_of_silence

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

# How long a fallback holds: an hour spares a struggling service and loses no day.
FALLBACK_HOLDS: Final = HOUR

_CHANNEL_OF: Final[Mapping[int, str]] = {
    code(event): channel for event, channel in CONTACT_EVENTS.items()
}


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


def propose(customer: Customer, engine: Engine, objected: bool = False) -> Proposal:
    """What is likely to come, and which communications suit. The slow half; needs no lock.

    Parameters
    ----------
    objected : bool
        Whether the customer objected to marketing: then no score is computed at all.
    """
    expectation = UNSCORED if objected else expectation_of(customer, engine)
    flags = flags_up(customer.features, expectation, engine.policy)
    entries, unsuited = eligible(customer, flags, expectation, engine.catalog)
    measured = NOTHING_MEASURED if objected else effects_on(customer, expectation, entries, engine)
    return Proposal(customer, expectation, flags, entries, unsuited, measured=measured)


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
        flags = flags_up(customer.features, UNSCORED, policy)
        proposal = of_an_objector(customer, flags, UNSCORED, proposal.left_out, engine.catalog)

    return _chosen(proposal, engine, replace(ledger, situation=proposal.situation()), uniform)


def _chosen(proposal: Proposal, engine: Engine, ledger: Ledger, uniform: float) -> Decision:
    """The second half, step by step."""
    customer, policy = proposal.customer, engine.policy
    as_of = customer.as_of

    # Consent, caps and the crisis switch, as they stand at this moment.
    may_be_sent = screened(proposal, ledger, engine)

    # What each message is worth beyond silence, and less what it costs; the best comes first.
    candidates = _weighed(may_be_sent.allowed, proposal, ledger, engine)

    # How likely each one is to be chosen; then the choice.
    arm = arm_of(customer.customer_id, policy, as_of)
    epsilon = epsilon_for(proposal.expectation, policy)
    probabilities = selection_probabilities(candidates, arm, epsilon)
    name = choose(probabilities, uniform)

    # On what ground it is sent, and when.
    entry = engine.catalog.communications.get(name)
    if entry is None:
        consent, timing = NO_CONSENT, timing_of_silence(may_be_sent.free_at, policy, as_of)
    else:
        consent = consent_for(entry, ledger, policy)
        timing = _timing(entry, customer, ledger, engine)
    return Decision(
        customer_id=customer.customer_id,
        as_of=as_of,
        chosen=next(candidate for candidate in candidates if candidate.communication == name),
        arm=arm.name,
        arm_share=arm.share,
        probabilities=probabilities,
        ranked=candidates,
        refusals=may_be_sent.refused,
        expectation=proposal.expectation,
        stage=customer.stage,
        flags=proposal.flags,
        consent=consent,
        not_before=timing.not_before,
        reconsider_at=timing.reconsider_at,
        valid_until=timing.valid_until,
        versions=engine.versions,
        terms="" if entry is None else entry.terms,
        human=entry is not None and entry.human,
    )


def _weighed(
    allowed: tuple[Communication, ...], proposal: Proposal, ledger: Ledger, engine: Engine
) -> tuple[Candidate, ...]:
    """What may be sent, and silence, by what each is worth for this customer."""
    customer, policy = proposal.customer, engine.policy
    worn = worn_by(ledger.contacts, policy.fatigue, customer.as_of)
    if policy.responses is not None:
        answered = factors(ledger.contacts, policy.responses, customer.as_of)
        worn = replace(worn, response=answered)
    paid = {e.name: engine.prices.of(e, customer.customer_id, policy) for e in allowed}
    told, measured = proposal.expectation, proposal.measured
    return told_apart(ranked(priced(allowed, paid), told, worn, policy, measured), paid)


def _timing(entry: Communication, customer: Customer, ledger: Ledger, engine: Engine) -> Timing:
    """When a message may leave; its own moment may end sooner than the answer would."""
    as_of, zone = customer.as_of, ledger.traits.get(TIME_ZONE, "")
    timing = timing_of_message(entry, engine.policy, as_of, zone)
    return timing.ended_by(over_at(entry, engine.catalog, customer.last_at, ledger, as_of))


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
    answers = answer_times(signals, as_of)
    found = []
    for i in np.flatnonzero(recent):
        channel = _CHANNEL_OF.get(int(signals.event[i]))
        if channel is None:
            continue
        at = int(signals.occurred_at[i])
        answered = is_answered(at, answers.get(channel, []))
        contact = Contact(at=at, channel=channel, answered=answered)
        named = by_code.get(int(signals.category[i]))
        if named is not None:
            contact = replace(contact, message_class=named.message_class, communication=named.name)
        found.append(contact)
    return tuple(found)


def expectation_of(customer: Customer, engine: Engine) -> Expectation:
    """Scores, money and reasons. Nothing is expected of a visitor, whom we do not know."""
    if engine.bundle is None or customer.anonymous:
        return UNSCORED
    row = np.array(list(customer.features.values()))  # they are in the order of the feature set
    return engine.bundle.expect(row, engine.features, engine.texts)


def effects_on(
    customer: Customer,
    expectation: Expectation,
    entries: Iterable[Communication],
    engine: Engine,
) -> CustomerEffects:
    """What these were measured to do to customers like this one; of a visitor, nothing."""
    if engine.bundle is None or engine.bundle.effects is None or customer.anonymous:
        return NOTHING_MEASURED
    state = state_of(expectation, customer.features, customer.stage)
    return engine.bundle.effects.on(state, customer.stage, {entry.name for entry in entries})


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
