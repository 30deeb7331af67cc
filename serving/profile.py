"""What is known of one customer now: profile, scores, and why. Nothing is decided or logged."""

import math
from dataclasses import asdict

from features.signals import SignalColumns
from models.language import phrase
from serving.answer import Json, Surroundings, answer, score, time_text
from serving.decision import customer_at, propose
from serving.desk import Question, is_known, ready_to_choose
from serving.engine import Engine
from serving.explanation import told
from serving.records import Ledger
from serving.storage.store import Store

NOBODY = "this customer is not known here; tell it events, or take in a file with it"


class UnknownCustomer(LookupError):
    """Nothing had been heard of this customer before the moment looked from."""


def profile(
    customer_id: str, as_of: int, store: Store, engine: Engine, surroundings: Surroundings
) -> dict[str, Json]:
    """Stage, flags, scores and consents of a customer. An objector is not scored.

    Raises
    ------
    UnknownCustomer
        If nothing had been heard of them before `as_of`.
    """
    signals = known_signals(customer_id, as_of, store)
    ledger = store.ledger(customer_id, as_of)
    proposal = propose(customer_at(customer_id, signals, as_of, engine), engine, ledger.objected)
    flags = (*proposal.flags, "objector") if ledger.objected else proposal.flags
    about, say = surroundings.about, surroundings.language.say
    return {
        "customer_id": customer_id,
        "as_of": time_text(as_of),
        "stage": proposal.customer.stage,
        "flags": list(flags),
        "scores": {name: score(found, say) for name, found in proposal.expectation.scores.items()},
        "currency": surroundings.currency,
        "signals": signals_known(signals, as_of),
        "objected": ledger.objected,
        "consents": consents(ledger),
        "note": say(why_unscored(ledger, proposal.customer.anonymous, engine)),
        "bundle": engine.versions.bundle,
        "data": asdict(about),
    }


def explanation(
    customer_id: str, as_of: int, store: Store, engine: Engine, surroundings: Surroundings
) -> dict[str, Json]:
    """The decision of this moment with its reasons, its lead, and the features it rests on.

    Chance is left out: the number drawn is the middle one. For an objector no features are told,
    since none were used.

    Raises
    ------
    UnknownCustomer
        If nothing had been heard of them before `as_of`.
    """
    signals = known_signals(customer_id, as_of, store)
    ready = ready_to_choose(Question(customer_id, as_of, 0.5), store, engine, "")
    found = ready.choose(store.ledger(customer_id, as_of, ready.limited))
    decision = answer("", found, surroundings)
    values = customer_at(customer_id, signals, as_of, engine).features
    used = decision["scores"] != {}
    return {
        "decision": decision,
        "features": [
            {
                "name": feature.name,
                "label": feature.label,
                "unit": feature.unit,
                "group": feature.group,
                "value": None if math.isnan(value := values[feature.name]) else value,
            }
            for feature in engine.features.features
            if used
        ],
        **told(found, store, engine, surroundings.language.say),
    }


def known_signals(customer_id: str, as_of: int, store: Store) -> SignalColumns:
    """Signals of a customer.

    Raises
    ------
    UnknownCustomer
        If nothing had been heard of them before `as_of`.
    """
    signals = store.customer_signals(customer_id)
    if signals is None or not is_known(signals, as_of):
        raise UnknownCustomer(NOBODY)
    return signals


def signals_known(signals: SignalColumns, as_of: int) -> dict[str, Json]:
    """How many signals count now, and the first and the last moment of them."""
    counts = (signals.occurred_at < as_of) & (signals.received_at < as_of)
    moments = signals.occurred_at[counts]  # at least one, of a customer who is known
    return {
        "count": len(moments),
        "first_at": time_text(int(moments[0])),
        "last_at": time_text(int(moments[-1])),
    }


def consents(ledger: Ledger) -> list[Json]:
    """The last word on each channel and purpose, as recorded."""
    return [
        {"channel": channel, "purpose": purpose, "given": said.given, "evidence": said.evidence}
        for (channel, purpose), said in sorted(ledger.consents.items())
    ]


def why_unscored(ledger: Ledger, anonymous: bool, engine: Engine) -> str:
    """Why there are no scores; empty if there are."""
    if ledger.objected:
        return phrase(
            "an objection to marketing is on record: nothing is predicted of this customer"
        )
    if anonymous:
        return phrase("a visitor: nothing is predicted of somebody whom we do not know")
    return "" if engine.bundle else phrase("no model is in service; run `nextbest train`")
