"""The apprentice: a CRM's own past messages beside what we would have sent, without sending.

At the moment of each message the engine decides about its customer, knowing what was known then:
signals received before, consents and contacts as they stood. Its scores and effects are fitted on
what was known before the first of the messages.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from features.definitions import FEATURES
from features.history import History, SentSignal
from features.home import Home
from features.signals import CONTACT_EVENTS, DAY, code, is_anonymous
from features.stage import STAGES
from models.targets import load_targets
from serving.arbitration import stated_effect
from serving.catalog import Catalog
from serving.champion import company_engine, with_champion
from serving.communication import Communication, Prior
from serving.engine import Engine
from serving.records import NO_CONTACT, Decision
from serving.storage.store import Store
from training.dataset import NothingToLearn
from training.fit import TrainSettings, train
from training.home_effects import with_effects
from training.narrator import Narrator
from training.policy_replay import decided

DAYS: Final = 28
MOST_DAYS: Final = 3_650  # ten years; nobody plans by older messages
MOST: Final = 5_000  # messages looked at; each takes some milliseconds
ANY_CHANNEL: Final = "any"


class NothingSent(LookupError):
    """There are no messages of the company's own to look at."""


class UnusableDays(ValueError):
    """A number of days that holds no message."""


class NoModel(LookupError):
    """Nothing can be scored: no bundle serves, and none can be fitted for the time before."""


@dataclass(frozen=True, slots=True)
class Beside:
    """One message that was sent, and what we would have sent at that moment.

    Attributes
    ----------
    sent_at : int
        Microseconds UTC.
    sent : str
        Its name, else its category, else its channel in brackets.
    listed : bool
        Whether it stands in the catalog; what does not is taken for marketing.
    ours : str
        Our choice, exploration left out; ``no_contact`` where silence is best.
    sent_net, our_net : float or None
        What the catalog states of each for this customer, its cost paid; an assumption. None
        where it states nothing.
    rule : str
        Under which we would have refused the message; of several the one that weighs most.
    change : str
        What would have to be true for it to be sent. Both are empty if nothing stood in its way.
    known : bool
        Whether anything had been heard of the customer before; else there is no decision.
    """

    customer_id: str
    sent_at: int
    channel: str
    sent: str
    listed: bool
    stage: str
    flags: tuple[str, ...]
    ours: str
    our_channel: str
    sent_net: float | None
    our_net: float | None
    rule: str
    change: str
    known: bool = True

    @property
    def compared(self) -> bool:
        """Whether the catalog states a worth of both."""
        return self.sent_net is not None and self.our_net is not None

    @property
    def agrees(self) -> bool:
        """Whether we would have sent the same."""
        return self.sent == self.ours


@dataclass(frozen=True, slots=True)
class Apprenticeship:
    """All messages of the last days beside ours.

    Attributes
    ----------
    since, until : int
        Microseconds UTC.
    sends : int
        Messages in that time; `rows` may be fewer.
    """

    since: int
    until: int
    sends: int
    rows: tuple[Beside, ...]
    currency: str
    notes: tuple[str, ...]

    def of_stage(self) -> Iterator[tuple[str, tuple[Beside, ...]]]:
        """Rows by stage, in the order of stages."""
        for stage in STAGES:
            here = tuple(one for one in self.rows if one.stage == stage)
            if here:
                yield stage, here


def replay(home: Home, as_of: int, days: int, narrator: Narrator) -> Apprenticeship:
    """Decide again at the moment of every message of the last days. Nothing is logged.

    Raises
    ------
    UnusableDays
        If `days` is below 1 or above `MOST_DAYS`.
    NothingSent
        If there are no messages in that time.
    NoModel
        If there is nothing to decide by.
    """
    if not 1 <= days <= MOST_DAYS:
        raise UnusableDays(f"--days {days}: must be 1 to {MOST_DAYS}; 28 is usual")
    since = as_of - days * DAY
    history = History(home.signals)
    found = [one for one in history.sends(since, as_of) if not is_anonymous(one.customer_id)]
    if not found:
        raise NothingSent(
            f"{home.path}: no message was sent in the {days} days before the end; the signals "
            f"{', '.join(sorted({one.partition('/')[0] for one in CONTACT_EVENTS}))} tell of "
            "them; bring them in with `nextbest ingest`, or look further back with --days"
        )
    with Store.open(home.store) as store:
        engine, notes = _engine_of_then(home, store, since, narrator)
        kept = _some(found)
        if len(kept) < len(found):
            notes = (*notes, f"looked at {len(kept):,}, customers chosen by the hash of their ids")
        rows = tuple(beside(kept, engine, store, narrator))
    return Apprenticeship(since, as_of, len(found), rows, engine.policy.currency, notes)


def beside(
    sends: Sequence[SentSignal], engine: Engine, store: Store, narrator: Narrator
) -> Iterator[Beside]:
    """Each message beside what the engine would have chosen."""
    known = engine.catalog.communications
    strangers = {_name(one): one for one in sends if _name(one) not in known}
    silent = replace(engine, texts=None, catalog=with_strangers(engine.catalog, strangers.items()))
    for one in narrator.each(sends, "Deciding again", len(sends)):
        decision = decided(one.customer_id, one.sent_at, silent, store)
        yield _beside(one, decision, engine)


def with_strangers(catalog: Catalog, strangers: Iterable[tuple[str, SentSignal]]) -> Catalog:
    """The catalog with entries for what others sent: worth nothing, so never chosen.

    Thus the contact policy is asked about them as about our own. They are taken for marketing,
    which an open complaint keeps back.
    """
    entries = {name: _stranger(name, _channel(one)) for name, one in strangers}
    return replace(catalog, communications={**catalog.communications, **entries})


def _stranger(name: str, channel: str) -> Communication:
    nothing = Prior(
        share=0.0, share_sd=0.0, of=("1",), opt_out=0.0, weight=1.0, source="sent", reviewed=True
    )
    return Communication(
        name=name,
        title=name,
        channel=channel,
        message_class="marketing",
        purpose="marketing",
        personal=True,
        stages=STAGES,
        requires_flags=(),
        blocked_by_flags=("complaint_open",),
        where=(),
        cost=0.0,
        window_days=1,
        discount_pct=0.0,
        prior=nothing,
        sells=False,
    )


def _name(sent: SentSignal) -> str:
    return sent.communication or sent.category or f"({_channel(sent)})"


def _channel(sent: SentSignal) -> str:
    """The channel that the signal names, else the event's own."""
    return CONTACT_EVENTS.get(sent.event, sent.channel) or ANY_CHANNEL


def _beside(sent: SentSignal, decision: Decision, engine: Engine) -> Beside:
    name, ours = _name(sent), decision.ranked[0]
    refusal = next((one for one in decision.refusals if one.communication == name), None)
    return Beside(
        customer_id=sent.customer_id,
        sent_at=sent.sent_at,
        channel=_channel(sent),
        sent=name,
        listed=name in engine.catalog.communications,
        stage=decision.stage,
        flags=decision.flags,
        ours=ours.communication,
        our_channel=ours.channel,
        sent_net=_stated_net(name, decision, engine),
        our_net=_stated_net(ours.communication, decision, engine),
        rule="" if refusal is None else refusal.rule,
        change="" if refusal is None else refusal.change,
        known=not decision.fallback,
    )


def _stated_net(name: str, decision: Decision, engine: Engine) -> float | None:
    """What the catalog states of a message for this customer, less its cost."""
    if name == NO_CONTACT:
        return 0.0
    entry = engine.catalog.communications.get(name)
    if entry is None or decision.fallback:
        return None
    effect, _ = stated_effect(entry, decision.expectation, engine.policy)
    return effect * engine.policy.weight(name) - entry.cost


def _engine_of_then(
    home: Home, store: Store, since: int, narrator: Narrator
) -> tuple[Engine, tuple[str, ...]]:
    """The company's engine, with models that know nothing of the messages or what followed."""
    serving = with_champion(company_engine(home), home, store.champion())
    bundle = serving.engine.bundle
    if bundle is not None and bundle.as_of <= since:
        return serving.engine, ("The bundle in service was trained before the first message.",)
    policy = serving.engine.policy
    settings = TrainSettings(load_targets(home.targets), policy.margin_rate, policy.horizon_days)
    log = History(home.signals).load(received_before=since)
    try:
        with narrator.step("Fitting models on what was known before the first message"):
            fitted = train(log, FEATURES, settings, since).bundle
            fitted = with_effects(fitted, home, log, since, settings.seed)
    except NothingToLearn as error:
        if bundle is None:
            raise NoModel(
                f"{home.path}: {serving.note}; and for the time before the first message none can "
                f"be fitted: {error}"
            ) from error
        return serving.engine, (
            "There is too little before the first message to fit models on: the bundle in service "
            "decides, and it has learned from what followed. Take the agreement for kinder than "
            "it is.",
        )
    note = (
        "Scores and effects were fitted on what was received before the first message, for this "
        "replay alone; the bundle in service stays."
    )
    return replace(serving.engine, bundle=fitted), (note,)


def _some(sends: Sequence[SentSignal]) -> list[SentSignal]:
    """All messages to some customers: as many as are looked at."""
    if len(sends) <= MOST:
        return list(sends)
    share = MOST / len(sends)
    return [one for one in sends if code(one.customer_id) / 2.0**64 + 0.5 < share]
