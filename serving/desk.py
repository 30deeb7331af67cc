"""The desk: one question about a customer in, one recorded answer out."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from features.signals import DAY, SignalColumns
from serving.answer import Surroundings, rendered, time_text
from serving.catalog import Catalog
from serving.decision import (
    Engine,
    contacts_in_signals,
    customer_at,
    fallback,
    propose,
    settle,
)
from serving.records import Contact, Decision, Ledger, Refusal
from serving.store import Circumstances, Store

# A message of ours comes back as a signal once the CRM has sent it. Within this time a signal on
# the same channel is taken for the same message, so that it counts once against the caps. Two
# days: a night of quiet hours and a day for the CRM.
SAME_MESSAGE_DAYS: Final = 2
UNKNOWN_CUSTOMER: Final = "this customer is not known here"


# How to settle under the lock, and the features that are logged.
Ready = tuple[Callable[[Ledger], Decision], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked about, and what the caller limits the choice to.

    Attributes
    ----------
    uniform : float
        A number drawn from [0, 1) before anything else: all the chance there is in a decision.
    idempotency : (key, request hash) or None
    request : str
        JSON of what else the caller said; logged.
    reuses_standing : bool
        Whether a decision that still holds under the same limits is the answer.
    """

    customer_id: str
    as_of: int
    uniform: float
    channels: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    idempotency: tuple[str, str] | None = None
    request: str = "{}"
    reuses_standing: bool = False

    @property
    def scope(self) -> str:
        """The limits as text; decisions under the same limits can stand for each other."""
        if not self.channels and not self.exclude:
            return ""
        limits = {"channels": sorted(set(self.channels)), "exclude": sorted(set(self.exclude))}
        return json.dumps(limits)


def answer_to(
    question: Question, store: Store, engine: Engine, surroundings: Surroundings, note: str = ""
) -> bytes:
    """Decide, log and answer one question.

    Scores are computed before the store's transaction, the allowed set and the choice inside it.
    An unknown customer, or an engine without a bundle, gets a fallback: `no_contact`.

    Parameters
    ----------
    note : str
        Why the engine has no bundle, if it has none.

    Raises
    ------
    IdempotencyConflict
        If the key came before with another request.
    StoreBusy
        If the store's turn did not come in time.
    """
    ready = ready_to_choose(question, store, engine, note)
    return recorded(question, ready, store, surroundings)


def recorded(question: Question, ready: Ready, store: Store, surroundings: Surroundings) -> bytes:
    """Choose, log and answer what `ready_to_choose` prepared.

    Raises
    ------
    IdempotencyConflict
        If the key came before with another request.
    StoreBusy
        If the store's turn did not come in time.
    """
    chooser, features = ready
    return store.record(
        question.customer_id,
        question.as_of,
        question.idempotency,
        chooser,
        lambda decision_id, decision: rendered(decision_id, decision, surroundings),
        Circumstances(features, question.scope, question.request, question.reuses_standing),
    )


def preview(
    question: Question, store: Store, engine: Engine, surroundings: Surroundings, note: str = ""
) -> bytes:
    """The answer that `answer_to` would give at this moment; nothing is logged or used up."""
    chooser, _ = ready_to_choose(question, store, engine, note)
    decision = chooser(store.ledger(question.customer_id, question.as_of))
    return rendered("", decision, surroundings)


def ready_to_choose(question: Question, store: Store, engine: Engine, note: str) -> Ready:
    """How to settle, and the served features: none for a fallback, and none for an objector."""
    signals = store.customer_signals(question.customer_id)
    if signals is None or not is_known(signals, question.as_of):
        return fallen_back(question, engine, UNKNOWN_CUSTOMER), ()
    if engine.bundle is None:
        seen = customer_at(question.customer_id, signals, question.as_of, engine)
        return fallen_back(question, engine, note, seen.stage), ()
    objected = store.objected(question.customer_id, question.as_of)
    chooser, features = prepared(question, engine, signals, objected)
    return chooser, () if objected else features


def prepared(
    question: Question, engine: Engine, signals: SignalColumns, objected: bool = False
) -> Ready:
    """All that can be computed before the transaction: how to settle, and the served features."""
    catalog, left_out = within_limits(engine.catalog, question)
    limited = replace(engine, catalog=catalog)
    customer = customer_at(question.customer_id, signals, question.as_of, limited)
    proposal = propose(customer, limited, objected)
    seen = contacts_in_signals(signals, question.as_of, engine.memory_days)

    note = hindsight(engine, question.as_of)

    def chooser(ledger: Ledger) -> Decision:
        known = replace(ledger, contacts=each_once(ledger.contacts, seen))
        decision = settle(proposal, limited, known, question.uniform)
        refusals = decision.refusals + left_out
        return replace(decision, refusals=refusals, note=decision.note or note)

    return chooser, tuple(customer.features.values())


def is_known(signals: SignalColumns, as_of: int) -> bool:
    """Whether anything had been heard of a customer before a moment."""
    return bool(((signals.occurred_at < as_of) & (signals.received_at < as_of)).any())


def hindsight(engine: Engine, as_of: int) -> str:
    """A warning where the models know more than was known at the moment; else nothing."""
    if engine.bundle is None or engine.bundle.as_of <= as_of:
        return ""
    learned = time_text(engine.bundle.as_of)
    return f"the models learned from signals until {learned}, later than the moment looked from"


def within_limits(catalog: Catalog, question: Question) -> tuple[Catalog, tuple[Refusal, ...]]:
    """The part of the catalog that the caller allows, and a refusal for each of the rest.

    The hash stays: it names the file that was read.
    """
    kept, left_out = {}, []
    for name, entry in catalog.communications.items():
        if question.channels and entry.channel not in question.channels:
            change = f"the caller allows the channel {entry.channel}"
            left_out.append(Refusal(name, "caller_channels", change))
        elif name in question.exclude:
            left_out.append(Refusal(name, "caller_exclude", "the caller does not exclude it"))
        else:
            kept[name] = entry
    return replace(catalog, communications=kept), tuple(left_out)


def fallen_back(
    question: Question, engine: Engine, why: str, stage: str = "prospect"
) -> Callable[[Ledger], Decision]:
    """The way to settle where nothing can be known: the fallback, whatever the ledger says."""
    decision = fallback(question.customer_id, question.as_of, engine, why, stage)
    return lambda _: decision


def each_once(logged: tuple[Contact, ...], seen: tuple[Contact, ...]) -> tuple[Contact, ...]:
    """Contacts from the decision log and from signals, each message once, in order of time.

    A signal is taken for a logged message if it follows on the same channel within
    `SAME_MESSAGE_DAYS`; each logged message accounts for one signal at most.
    """
    left = sorted(seen, key=lambda contact: contact.at)
    for ours in logged:
        latest = ours.at + SAME_MESSAGE_DAYS * DAY
        for place, other in enumerate(left):
            if other.channel == ours.channel and ours.at <= other.at <= latest:
                del left[place]
                break
    return tuple(sorted((*logged, *left), key=lambda contact: contact.at))
