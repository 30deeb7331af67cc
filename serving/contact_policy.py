"""Contact policy: may we send this now? Objection, pauses, consent, caps, and times of silence."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Final

from features.signals import DAY, SECOND
from features.traits import PREFERRED_CHANNEL, TIME_ZONE, channels_named
from models.language import Quantity, joined, phrase
from serving.catalog import Communication
from serving.policy import HOUSEHOLD, Cap, Policy
from serving.prices import money_used
from serving.records import ANY, Consent, Contact, Ledger, OptOut, Pause, Refusal
from serving.refusals import NEVER, Obstacle, refusal_of
from serving.timing import quiet_until

NO_CONSENT: Final = Consent(given=False, basis="none")

# These outrank whether a communication suits the customer at all.
OBJECTION: Final = "objection"
PAUSED: Final = "paused"
ENDED: Final = "ended"
FOREMOST: Final = (OBJECTION, PAUSED, ENDED)

REPETITION: Final = "repetition"
COOL_OFF: Final = "cool_off"
AFTER_ORDER: Final = "after_order"
CAP: Final = "cap"
# Rules that let go as time passes. They are asked last, so that a refusal under one of them
# needs nothing but time.
WAITING_HELPS: Final = (REPETITION, COOL_OFF, AFTER_ORDER, CAP)

_LAST_SENT: Final = phrase("it was last sent")
_LAST_ORDER: Final = phrase("the last order")
_TICKET_RESOLVED: Final = phrase("a ticket was resolved")

CAPACITY_DAYS: Final = 7
_AFTER_THE_END: Final = (ENDED,)
# Messages that reach out to the customer. What waits in a chat or an app disturbs nobody, so a
# stated preference between channels is not about it.
REACHING_OUT: Final = ("email", "sms", "push", "call", "post")


def refusal_now(entry: Communication, ledger: Ledger, policy: Policy, as_of: int) -> Refusal | None:
    """Every rule that forbids the message now, as one refusal; None if it may be sent."""
    return refusal_of(entry.name, obstacles_now(entry, now_of(ledger, policy, as_of)))


def obstacles_now(entry: Communication, now: "Now") -> tuple[Obstacle, ...]:
    """What stands in the way of a message now; nothing if it may be sent.

    The order is that of weight: an objection outlives everything, then the pauses, the end of
    the relationship, the stated channel, consent, the height of a discount, free places; and
    last whatever time alone brings: repetition, times of silence, and the caps.
    """
    kind = (entry.channel, entry.message_class, entry.purpose, entry.personal, entry.sells)
    alike = now.kinds.get(kind)
    if alike is None:
        alike = now.kinds[kind] = _of_kind(entry, now)
    return (*alike.standing, *_of_its_own(entry, now), *alike.timed)


def consent_for(entry: Communication, ledger: Ledger, policy: Policy) -> Consent:
    """What allows the message: a record if there is one, else what the policy assumes.

    A recorded withdrawal wins over an assumption. Without either the answer is no; where
    none is needed, none is named.
    """
    if not entry.needs_consent:
        return NO_CONSENT
    pair = (entry.channel, entry.purpose)
    recorded = ledger.consents.get(pair)
    if recorded is not None:
        return recorded
    if pair in policy.assumed_consents:
        return Consent(given=True, basis="assumed")
    return NO_CONSENT


def free_again_at(entry: Communication, ledger: Ledger, policy: Policy) -> int:
    """When time alone lets the message through if nothing else is sent.

    Microseconds UTC; a moment of the past if it does already.
    """
    now = now_of(ledger, policy, _LONG_AGO)
    timed = chain(_repeated(entry, now), _timed(entry, now))
    return max((each.until for each in timed), default=_LONG_AGO)


def moment(at: int) -> str:
    """Microseconds UTC as ``2026-11-01 08:00 UTC``."""
    return f"{dt.datetime.fromtimestamp(at // SECOND, dt.UTC):%Y-%m-%d %H:%M} UTC"


_LONG_AGO: Final = -(2**62)
NOTHING_HAPPENED: Final[Mapping[str, int]] = {}


# ---- What is the same for every entry ----------------------------------------------------


# Channel, class, purpose, whether it is personal, and whether it sells.
_Kind = tuple[str, str, str, bool, bool]


@dataclass(frozen=True, slots=True)
class Now:
    """The moment, and what is said of it once for every entry: words cost more than rules.

    Attributes
    ----------
    last_sent : mapping of communication to microseconds UTC
    last_at : mapping of event to microseconds UTC
        When what triggers messages last happened to the customer.
    pauses : tuple of (Pause, Obstacle)
    caps : tuple of (Cap, Obstacle)
        Full ones.
    silences : tuple of (channel, Obstacle)
        Of marketing; the channel is the one that a silence does not concern, or empty.
    after_order : tuple of Obstacle
    kinds : dict
        What was found out about all messages of a kind.
    """

    ledger: Ledger
    policy: Policy
    as_of: int
    last_sent: Mapping[str, int]
    last_at: Mapping[str, int]
    pauses: tuple[tuple[Pause, Obstacle], ...]
    caps: tuple[tuple[Cap, Obstacle], ...]
    silences: tuple[tuple[str, Obstacle], ...]
    after_order: tuple[Obstacle, ...]
    kinds: dict[_Kind, "_OfKind"] = field(default_factory=dict)

    @property
    def outranks(self) -> bool:
        """Whether a rule may be in force that outranks whether a message suits; see `FOREMOST`."""
        ledger = self.ledger
        return ledger.objected or bool(ledger.pauses) or ledger.situation.stage == ENDED


def now_of(
    ledger: Ledger, policy: Policy, as_of: int, last_at: Mapping[str, int] = NOTHING_HAPPENED
) -> Now:
    """What the rules look at, worked out once for all entries."""
    last_sent: dict[str, int] = {}
    for contact in ledger.contacts:
        last_sent[contact.communication] = max(
            contact.at, last_sent.get(contact.communication, _LONG_AGO)
        )
    caps = ((cap, _full(cap, ledger, as_of)) for cap in policy.caps)
    return Now(
        ledger=ledger,
        policy=policy,
        as_of=as_of,
        last_sent=last_sent,
        last_at=last_at,
        pauses=tuple((pause, _paused(pause)) for pause in ledger.pauses),
        caps=tuple((cap, full) for cap, full in caps if full is not None),
        silences=tuple(_silences(ledger, policy, as_of)),
        after_order=tuple(_after_order(ledger, policy, as_of)),
    )


def _full(cap: Cap, ledger: Ledger, as_of: int) -> Obstacle | None:
    """A cap that is used up; planned contacts, later than now, count as well."""
    counted: Iterable[Contact] = ledger.contacts
    if cap.per == HOUSEHOLD:
        counted = chain(ledger.contacts, *ledger.household.values())
    since = as_of - cap.days * DAY
    at = [c.at for c in counted if c.at > since and _concerns(cap, c.channel, c.message_class)]
    used = len(at)
    if used < cap.most:
        return None
    # Fewer than `most` are left in the window when the last but `most - 1` leaves it.
    until = sorted(at)[-cap.most] + cap.days * DAY if cap.most else NEVER
    return Obstacle(CAP, lambda: _fewer(cap, used), until)


def _silences(ledger: Ledger, policy: Policy, as_of: int) -> Iterator[tuple[str, Obstacle]]:
    """Times in which no marketing is sent; each with the one channel it leaves alone."""
    situation, days = ledger.situation, policy.cool_off
    if situation.resolved_at is not None:
        wait = (situation.resolved_at, days.after_complaint_days, _TICKET_RESOLVED)
        yield from (("", each) for each in _pass(COOL_OFF, wait, as_of))
    for gone in ledger.opt_outs:
        if _left_something(gone, policy):
            what = phrase("the customer turned {channel} off", channel=gone.channel)
            wait = (gone.at, days.after_opt_out_days, what)
            yield from ((gone.channel, each) for each in _pass(COOL_OFF, wait, as_of))


def _after_order(ledger: Ledger, policy: Policy, as_of: int) -> Iterator[Obstacle]:
    ordered_at = ledger.situation.ordered_at
    if ordered_at is not None:
        wait = (ordered_at, policy.cool_off.after_order_days, _LAST_ORDER)
        yield from _pass(AFTER_ORDER, wait, as_of)


def _concerns(cap: Cap, channel: str, message_class: str) -> bool:
    return cap.channel in (ANY, channel) and cap.message_class in (ANY, message_class)


# ---- Rules for all messages of a kind: who, where, why ------------------------------------


@dataclass(frozen=True, slots=True)
class _OfKind:
    """What stands in the way of every message of one channel, class and purpose."""

    standing: tuple[Obstacle, ...]
    timed: tuple[Obstacle, ...]


def _of_kind(entry: Communication, now: Now) -> _OfKind:
    """Asked once for all entries that are like this one in what these rules look at."""
    standing = chain.from_iterable(rule(entry, now) for rule in _RULES_OF_A_KIND)
    return _OfKind(tuple(standing), tuple(_timed(entry, now)))


def _objected(entry: Communication, now: Now) -> Iterator[Obstacle]:
    if now.ledger.objected and entry.message_class == "marketing":
        yield Obstacle(OBJECTION, phrase("the customer takes the objection back"))


def _held_back(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """The crisis switch; each pause that holds the message back is one change."""
    for pause, obstacle in now.pauses:
        if pause.holds_back(entry.channel, entry.message_class, now.ledger.situation):
            yield obstacle


def _paused(pause: Pause) -> Obstacle:
    return Obstacle(PAUSED, lambda: turned_off(pause))


def turned_off(pause: Pause) -> str:
    """What a refusal under a pause waits for, in words."""
    return phrase("pause {number} is turned off ({told})", number=pause.number, told=told(pause))


def told(pause: Pause) -> str:
    """A pause in words: what it is about, and why."""
    about: list[str] = []
    if pause.channel != ANY:
        about.append(phrase("channel {channel}", channel=pause.channel))
    if pause.stage != ANY:
        about.append(phrase("stage {stage}", stage=pause.stage))
    if pause.flag != ANY:
        about.append(phrase("flag {flag}", flag=pause.flag))
    what = joined("{these} and {that}", about) if about else phrase("everything")
    return phrase("{what}: {reason}", what=what, reason=pause.reason)


def _relationship_ended(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """After the end no marketing."""
    if now.ledger.situation.stage == ENDED and entry.message_class == "marketing":
        yield Obstacle(ENDED, phrase("a person takes up the relationship again"))


def _other_channel_preferred(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """A stated preference binds marketing that reaches out."""
    wanted = channels_named(now.ledger.traits.get(PREFERRED_CHANNEL, ""))
    if (
        wanted
        and entry.message_class == "marketing"
        and entry.channel in REACHING_OUT
        and entry.channel not in wanted
    ):
        yield Obstacle(
            "preferred_channel",
            phrase(
                "the customer prefers {channel}, not {preferred}",
                channel=entry.channel,
                preferred=joined("{these} or {that}", wanted),
            ),
        )


def _no_consent(entry: Communication, now: Now) -> Iterator[Obstacle]:
    if entry.needs_consent and not consent_for(entry, now.ledger, now.policy).given:
        yield Obstacle("consent", _consent_asked(entry.channel, entry.purpose))


@lru_cache(maxsize=64)  # a few channels, a few purposes
def _consent_asked(channel: str, purpose: str) -> str:
    return phrase("consent to {asked} is on record", asked=f"{channel}:{purpose}")


_Rule = Callable[[Communication, Now], Iterator[Obstacle]]
_RULES_OF_A_KIND: Final[tuple[_Rule, ...]] = (
    _objected,
    _held_back,
    _relationship_ended,
    _other_channel_preferred,
    _no_consent,
)


# ---- Rules for one message --------------------------------------------------------------


def _of_its_own(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """Said for good, too dear an offer, no free place, no money left; last, sent a while ago."""
    ledger, most = now.ledger, entry.capacity_per_week
    if entry.stages == _AFTER_THE_END and entry.message_class != "marketing":
        yield from _said_before(entry, now)
    if entry.discount_pct > now.policy.max_discount_pct:
        yield _too_dear_an_offer(entry)
    if most is not None and ledger.taken.get(entry.name, 0) >= most:
        yield _no_place_left(most, ledger.taken[entry.name])
    if entry.valid_until is not None:
        yield from _night_outlasts(entry, entry.valid_until, now)
    if ledger.money_left is not None:
        yield from _no_money_left(entry, ledger.money_left)
    if entry.name in now.last_sent:
        yield from _repeated(entry, now)


def _said_before(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """What is only for after the end, such as a farewell, goes out once."""
    if now.ledger.situation.stage == ENDED and entry.name in now.ledger.sent_ever:
        yield Obstacle(ENDED, phrase("it has not been sent: after the end it is sent once"))


def _too_dear_an_offer(entry: Communication) -> Obstacle:
    discount = entry.discount_pct
    return Obstacle(
        "max_discount", lambda: phrase("max_discount_pct >= {discount}", discount=f"{discount:g}")
    )


def _night_outlasts(entry: Communication, valid_until: int, now: Now) -> Iterator[Obstacle]:
    """An offer of today is not sent tomorrow, because the night held it back."""
    zone = now.ledger.traits.get(TIME_ZONE, "")
    if now.as_of < valid_until <= quiet_until(entry, now.policy, now.as_of, zone):
        last = str(dt.date(1970, 1, 1) + dt.timedelta(days=(valid_until - 1) // DAY))
        yield Obstacle("dates", phrase("valid_until in catalog.toml is later than {day}", day=last))


def _no_place_left(most: int, taken: int) -> Obstacle:
    def words() -> str:
        return phrase(
            "fewer than {most} taken in {days}, now {taken}",
            most=Quantity(most, "places"),
            days=Quantity(CAPACITY_DAYS, "days"),
            taken=taken,
        )

    return Obstacle("capacity", words)


def _no_money_left(entry: Communication, left: float) -> Iterator[Obstacle]:
    """The budget of a batch is for marketing, and is never exceeded."""
    needed = money_used(entry.message_class, entry.cost)

    def words() -> str:
        return phrase(
            "the run's budget has {needed} left, now {left}",
            needed=Quantity(needed, "currency"),
            left=Quantity(left, "currency"),
        )

    if needed > left:
        yield Obstacle("budget", words)


# ---- Rules that time removes -------------------------------------------------------------


def _repeated(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """A message is given its time to work before it is sent again; what is owed anew need not."""
    sent = now.last_sent.get(entry.name)
    if sent is not None and not _owed_anew(entry, sent, now.last_at):
        wait = (sent, entry.window_days, _LAST_SENT)
        yield from _pass(REPETITION, wait, now.as_of)


def _owed_anew(entry: Communication, sent: int, last_at: Mapping[str, int]) -> bool:
    """Whether what it answers happened again since: a second order is confirmed as well."""
    if entry.message_class != "transactional" or entry.moment is None:
        return False
    return any(last_at.get(event, _LONG_AGO) > sent for event in entry.moment.trigger)


def _timed(entry: Communication, now: Now) -> Iterator[Obstacle]:
    """Rules of time that hold every message of a kind back beyond `as_of`."""
    if entry.message_class == "marketing":
        yield from (each for channel, each in now.silences if channel != entry.channel)
        yield from now.after_order if entry.sells else ()
    for cap, full in now.caps:
        if _concerns(cap, entry.channel, entry.message_class):
            yield full


def _left_something(gone: OptOut, policy: Policy) -> bool:
    return gone.had_said_yes or (gone.channel, "marketing") in policy.assumed_consents


def _pass(rule: str, wait: tuple[int, float, str], as_of: int) -> Iterator[Obstacle]:
    """So many days must pass since something; nothing if they have."""
    at, days, what = wait
    until = at + int(days * DAY)

    def words() -> str:
        again = moment(until)
        if days == 1:
            return phrase("a day has passed since {what}: {moment}", what=what, moment=again)
        return phrase(
            "{days} days have passed since {what}: {moment}",
            days=f"{days:g}",
            what=what,
            moment=again,
        )

    if until > as_of:
        yield Obstacle(rule, words, until)


def _fewer(cap: Cap, used_up: int) -> str:
    about = phrase(
        "channel {channel}, class {message_class}",
        channel=cap.channel,
        message_class=cap.message_class,
    )
    used = phrase("{days}, now {used}", days=Quantity(cap.days, "days"), used=used_up)
    most = Quantity(cap.most, "contacts")
    if cap.per == HOUSEHOLD:
        return phrase(
            "fewer than {most} of the household ({about}) in {used}",
            most=most,
            about=about,
            used=used,
        )
    return phrase("fewer than {most} ({about}) in {used}", most=most, about=about, used=used)
