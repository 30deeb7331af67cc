"""The desk: one question about a customer in, one recorded answer out."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from features.signals import DAY, SignalColumns
from models.language import joined, phrase
from serving.answer import Surroundings, rendered, time_text
from serving.catalog import Catalog, Communication
from serving.decision import (
    Engine,
    contacts_in_signals,
    customer_at,
    fallback,
    propose,
    settle,
)
from serving.proposal import Proposal, narrowed
from serving.records import NO_CONTACT, Contact, Customer, Decision, Ledger
from serving.refusals import Obstacle, Obstacles
from serving.storage.log_entries import Circumstances
from serving.storage.store import Store
from serving.toml_table import did_you_mean

# A message of ours comes back as a signal once the CRM has sent it. Within this time a signal on
# the same channel is taken for the same message, so that it counts once against the caps. Two
# days: a night of quiet hours and a day for the CRM.
SAME_MESSAGE_DAYS: Final = 2
UNKNOWN_CUSTOMER: Final = phrase("this customer is not known here")


@dataclass(frozen=True, slots=True)
class Ready:
    """All that is computed before the store's transaction.

    Attributes
    ----------
    choose : from the ledger, read under the lock, to the decision
    features : tuple of float
        The served ones, to be logged.
    limited : tuple of str
        Communications whose free places must be counted under the lock.
    """

    choose: Callable[[Ledger], Decision]
    features: tuple[float, ...] = ()
    limited: tuple[str, ...] = ()


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
    locale : str
        In which the caller wants to read; empty: English. A decision that stands is answered
        in the language it was first answered in.
    trigger : str
        The event, or the step of a sequence, whose moment it is about; empty: any.
    since : int
        A decision made earlier than this does not hold any more; microseconds UTC.
    """

    customer_id: str
    as_of: int
    uniform: float
    channels: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    idempotency: tuple[str, str] | None = None
    request: str = "{}"
    reuses_standing: bool = False
    locale: str = ""
    trigger: str = ""
    since: int = 0

    @property
    def scope(self) -> str:
        """The limits as text; decisions under the same limits can stand for each other."""
        if not self.channels and not self.exclude and not self.trigger:
            return ""
        limits = {"channels": sorted(set(self.channels)), "exclude": sorted(set(self.exclude))}
        return json.dumps(limits | ({"trigger": self.trigger} if self.trigger else {}))


def answer_to(
    question: Question, store: Store, engine: Engine, surroundings: Surroundings, note: str = ""
) -> bytes:
    """Decide, log and answer one question.

    Scores are computed before the store's transaction, the allowed set and the choice inside it.
    An unknown customer, or an engine without a bundle, gets a fallback: `no_contact`.

    Parameters
    ----------
    note : str
        Why the engine has no bundle, or not the champion's, if so.

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
    heard = surroundings.heard_in(question.locale)
    return store.record(
        question.customer_id,
        question.as_of,
        question.idempotency,
        ready.choose,
        lambda decision_id, decision: rendered(decision_id, decision, heard),
        Circumstances(
            ready.features,
            question.scope,
            question.request,
            question.reuses_standing,
            ready.limited,
            question.since,
            surroundings.sentences,
        ),
    )


def preview(
    question: Question, store: Store, engine: Engine, surroundings: Surroundings, note: str = ""
) -> bytes:
    """The answer that `answer_to` would give at this moment; nothing is logged or used up."""
    ready = ready_to_choose(question, store, engine, note)
    ledger = store.ledger(question.customer_id, question.as_of, ready.limited)
    return rendered("", ready.choose(ledger), surroundings)


def ready_to_choose(question: Question, store: Store, engine: Engine, note: str) -> Ready:
    """How to settle, and the served features: none for a fallback, and none for an objector."""
    seen = seen_at(question.customer_id, question.as_of, store, engine)
    if seen is None:
        return fallen_back(question, engine, UNKNOWN_CUSTOMER)
    if engine.bundle is None:
        return fallen_back(question, engine, note, seen.customer.stage)
    proposal = propose(seen.customer, engine, seen.objected)
    return prepared(question, engine, seen, proposal, note)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store knows of a customer before the transaction, whatever is asked.

    Attributes
    ----------
    contacts : tuple of Contact
        Messages to the customer that are known from signals.
    objected : bool
        Then nothing is scored.
    at_home : mapping of customer to contacts
        The same of the others in the household.
    """

    customer: Customer
    contacts: tuple[Contact, ...]
    objected: bool = False
    at_home: Mapping[str, tuple[Contact, ...]] = field(default_factory=dict)


def seen_at(customer_id: str, as_of: int, store: Store, engine: Engine) -> Seen | None:
    """A customer at a moment; None if nothing had been heard of them before."""
    signals = store.customer_signals(customer_id)
    if signals is None or not is_known(signals, as_of):
        return None
    return Seen(
        customer_at(customer_id, signals, as_of, engine),
        contacts_in_signals(signals, as_of, engine.memory_days, engine.catalog),
        store.objected(customer_id, as_of),
        seen_at_home(customer_id, as_of, store, engine) if engine.policy.counts_households else {},
    )


def seen_at_home(
    customer_id: str, as_of: int, store: Store, engine: Engine
) -> Mapping[str, tuple[Contact, ...]]:
    """Messages to the other members of a household that are known from signals."""
    found = {}
    for other in store.others_at_home(customer_id, as_of):
        signals = store.customer_signals(other)
        if signals is not None:
            found[other] = contacts_in_signals(signals, as_of, engine.memory_days, engine.catalog)
    return found


def prepared(
    question: Question, engine: Engine, seen: Seen, proposal: Proposal, note: str = ""
) -> Ready:
    """All that can be computed before the transaction.

    Parameters
    ----------
    proposal : Proposal
        Before the caller's limits, which the question names.
    note : str
        Told with the decision.
    """
    limited = narrowed(replace(proposal, left_out=outside_limits(engine.catalog, question)))
    told = together(note, notes(engine, question))

    def choose(ledger: Ledger) -> Decision:
        known = replace(
            ledger,
            contacts=each_once(ledger.contacts, seen.contacts),
            household={
                other: each_once(logged, seen.at_home.get(other, ()))
                for other, logged in ledger.household.items()
            },
        )
        decision = settle(limited, engine, known, question.uniform)
        return replace(decision, note=decision.note or told)

    features = () if seen.objected else tuple(seen.customer.features.values())
    return Ready(choose, features, engine.catalog.limited)


def is_known(signals: SignalColumns, as_of: int) -> bool:
    """Whether anything had been heard of a customer before a moment."""
    return bool(((signals.occurred_at < as_of) & (signals.received_at < as_of)).any())


def notes(engine: Engine, question: Question) -> str:
    """What the caller should know beside the answer."""
    return together(
        hindsight(engine, question.as_of),
        unheard_of(engine.catalog, question),
        unawaited(engine.catalog, question),
    )


def together(*said: str) -> str:
    """Several notes as one; nothing if there are none."""
    some = [note for note in said if note]
    return joined("{these}; {that}", some) if some else ""


def hindsight(engine: Engine, as_of: int) -> str:
    """A warning where the models know more than was known at the moment; else nothing."""
    if engine.bundle is None or engine.bundle.as_of <= as_of:
        return ""
    learned = time_text(engine.bundle.as_of)
    return phrase(
        "the models learned from signals until {learned}, later than the moment looked from",
        learned=learned,
    )


def unheard_of(catalog: Catalog, question: Question) -> str:
    """A warning where the caller excludes what is not in the catalog; else nothing."""
    known = (*catalog.communications, NO_CONTACT)
    strange = [name for name in question.exclude if name not in known]
    if not strange:
        return ""
    hint = did_you_mean(strange[0], known)
    return phrase(
        "exclude names {names}, which is not in the catalog{hint}",
        names=", ".join(strange),
        hint=hint,
    )


def unawaited(catalog: Catalog, question: Question) -> str:
    """A warning where no communication waits for the caller's trigger; else nothing."""
    waited = [n for e in catalog.communications.values() if e.moment for n in e.moment.occasions]
    if not question.trigger or question.trigger in waited:
        return ""
    hint = did_you_mean(question.trigger, waited)
    return phrase(
        "no communication waits for the trigger '{trigger}'{hint}",
        trigger=question.trigger,
        hint=hint,
    )


def outside_limits(catalog: Catalog, question: Question) -> Obstacles:
    """Why the caller does not allow communications; those that are allowed are not in it."""
    found = {
        entry.name: tuple(_limits(entry, question)) for entry in catalog.communications.values()
    }
    return {name: obstacles for name, obstacles in found.items() if obstacles}


def _limits(entry: Communication, question: Question) -> Iterator[Obstacle]:
    if question.channels and entry.channel not in question.channels:
        change = phrase("the caller allows the channel {channel}", channel=entry.channel)
        yield Obstacle("caller_channels", change)
    if question.trigger and not _waits_for(entry, question.trigger):
        change = phrase("the caller does not ask about {trigger}", trigger=question.trigger)
        yield Obstacle("caller_trigger", change)
    if entry.name in question.exclude:
        yield Obstacle("caller_exclude", phrase("the caller does not exclude it"))


def is_offered(answer: bytes, catalog: Catalog) -> bool:
    """Whether what was answered may still be said: it is silence, or in the catalog and approved.

    An edit serves within seconds, also where an answer given before it would hold for a day.
    """
    name = json.loads(answer)["communication"]
    entry = catalog.communications.get(name)
    return name == NO_CONTACT or (entry is not None and entry.approved)


def _waits_for(entry: Communication, occasion: str) -> bool:
    return entry.moment is not None and occasion in entry.moment.occasions


def fallen_back(question: Question, engine: Engine, why: str, stage: str = "prospect") -> Ready:
    """The way to settle where nothing can be known: the fallback, whatever the ledger says."""
    decision = fallback(question.customer_id, question.as_of, engine, why, stage)
    return Ready(lambda _: decision)


def each_once(logged: tuple[Contact, ...], seen: tuple[Contact, ...]) -> tuple[Contact, ...]:
    """Contacts from the decision log and from signals, each message once, in order of time.

    A signal is taken for a logged message if it follows on the same channel within
    `SAME_MESSAGE_DAYS` and names no other communication; each logged message accounts for one
    signal at most, and is answered if either was.
    """
    left = sorted(seen, key=lambda contact: contact.at)
    known = []
    for ours in logged:
        latest, answered = ours.at + SAME_MESSAGE_DAYS * DAY, ours.answered
        for place, other in enumerate(left):
            same = other.channel == ours.channel and other.communication in ("", ours.communication)
            if same and ours.at <= other.at <= latest:
                answered = answered or other.answered
                del left[place]
                break
        known.append(replace(ours, answered=True) if answered else ours)
    return tuple(sorted((*known, *left), key=lambda contact: contact.at))
