"""The next best communication for one customer: the page to read first.

We look at the customer, ask what is likely to come, keep the communications that suit, drop
those that may not be sent now, and weigh what is left against silence. The best is chosen,
except where we mean to learn; how likely each one was to be chosen is written down.

Nothing here reads a clock, a file or a random number. The moment, the signals and the drawn
number are given, so that every decision can be repeated and comes out the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.batch import feature_row
from features.signals import CONTACT_EVENTS, DAY, HOUR, SignalColumns, code, is_anonymous
from features.stage import stage
from models.expectation import Expectation
from serving.arbitration import SILENCE, fatigue_price, ranked
from serving.catalog import Communication
from serving.contact_policy import NO_CONSENT, WAITING_HELPS, consent_for, objection, refusal_now
from serving.eligibility import eligible
from serving.engine import Engine
from serving.exploration import arm_of, choose, epsilon_for, selection_probabilities
from serving.flags import flags_up
from serving.policy import Policy
from serving.records import (
    NO_CONTACT,
    Contact,
    Customer,
    Decision,
    Ledger,
    Refusal,
    Versions,
)
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

UNTRAINED: Final = "no model has been trained yet; run `nextbest train`"

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
    refusals : tuple of Refusal
        Those that do not, and what would have to change.
    """

    customer: Customer
    expectation: Expectation
    flags: tuple[str, ...]
    entries: tuple[Communication, ...]
    refusals: tuple[Refusal, ...]


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
    entries, refusals = eligible(customer, flags, expectation, engine.catalog)
    return Proposal(customer, expectation, flags, entries, refusals)


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
    allowed, refused = _allowed_now(proposal.entries, ledger, policy, as_of)

    # What each message is worth beyond silence, and less what it costs; the best comes first.
    fatigue = fatigue_price(ledger.contacts, policy.fatigue, as_of)
    candidates = ranked(allowed, proposal.expectation, fatigue, policy)

    # How likely each one is to be chosen; then the choice.
    arm = arm_of(customer.customer_id, policy, as_of)
    epsilon = epsilon_for(proposal.expectation, policy)
    probabilities = selection_probabilities(candidates, arm, epsilon)
    name = choose(probabilities, uniform)

    # On what ground it is sent, and when.
    if name == NO_CONTACT:
        consent = NO_CONSENT
        timing = timing_of_silence(_only_waiting(refused, engine), ledger, policy, as_of)
    else:
        entry = engine.catalog.communications[name]
        consent = consent_for(entry, ledger, policy)
        timing = timing_of_message(entry, policy, as_of)

    return Decision(
        customer_id=customer.customer_id,
        as_of=as_of,
        chosen=next(candidate for candidate in candidates if candidate.communication == name),
        arm=arm.name,
        arm_share=arm.share,
        probabilities=probabilities,
        ranked=candidates,
        refusals=proposal.refusals + refused,
        expectation=proposal.expectation,
        stage=customer.stage,
        flags=proposal.flags,
        consent=consent,
        not_before=timing.not_before,
        reconsider_at=timing.reconsider_at,
        valid_until=timing.valid_until,
        versions=engine.versions,
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
    return Customer(customer_id, as_of, anonymous, features, at_stage)


def contacts_in_signals(signals: SignalColumns, as_of: int, days: int) -> tuple[Contact, ...]:
    """Messages of the last `days` that are known from signals, oldest first."""
    known = (signals.occurred_at < as_of) & (signals.received_at < as_of)
    recent = known & (signals.occurred_at > as_of - days * DAY)
    return tuple(
        Contact(at=int(signals.occurred_at[i]), channel=_CHANNEL_OF[int(signals.event[i])])
        for i in np.flatnonzero(recent)
        if int(signals.event[i]) in _CHANNEL_OF
    )


def expectation_of(customer: Customer, engine: Engine) -> Expectation:
    """Scores, money and reasons. Nothing is expected of a visitor, whom we do not know."""
    if engine.bundle is None or customer.anonymous:
        return UNSCORED
    row = np.array([customer.features[name] for name in engine.features.names])
    return engine.bundle.expect(row, engine.features, engine.texts)


# ---- What may be sent --------------------------------------------------------------------


def _allowed_now(
    entries: Iterable[Communication], ledger: Ledger, policy: Policy, as_of: int
) -> tuple[tuple[Communication, ...], tuple[Refusal, ...]]:
    """Those that may be sent at this moment, and refusals of the others."""
    allowed, refused = [], []
    for entry in entries:
        refusal = refusal_now(entry, ledger, policy, as_of)
        if refusal is None:
            allowed.append(entry)
        else:
            refused.append(refusal)
    return tuple(allowed), tuple(refused)


def _without_scores_or_marketing(proposal: Proposal, engine: Engine) -> Proposal:
    """An objector is not scored, and of all reasons against marketing the objection is named."""
    customer, catalog = proposal.customer, engine.catalog
    flags = (*flags_up(customer.features, UNSCORED, engine.policy), "objector")
    entries, refusals = eligible(customer, flags, UNSCORED, catalog)
    named = tuple(
        objection(refusal.communication)
        if catalog.communications[refusal.communication].message_class == "marketing"
        else refusal
        for refusal in refusals
    )
    return replace(proposal, expectation=UNSCORED, flags=flags, entries=entries, refusals=named)


def _only_waiting(refused: Iterable[Refusal], engine: Engine) -> list[Communication]:
    """Communications that time alone would let through."""
    return [
        engine.catalog.communications[refusal.communication]
        for refusal in refused
        if refusal.rule in WAITING_HELPS
    ]


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
