"""Everybody at a glance: totals, the mix of communications, and six people who show the range."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from models.bands import HIGH, LOW, RAISED, band
from serving.console.looking import Looking, Said, said_of
from serving.console.words import SHARES
from serving.contact_policy import WAITING_HELPS
from serving.decision import customer_at
from serving.failures import Failures
from serving.records import NO_CONTACT

# Looking at somebody takes 2 ms. Above this many a stable sample stands for all.
MOST_LOOKED_AT: Final = 5_000
ABOVE_USUAL: Final = (RAISED, HIGH)
CART_HOURS: Final = 2.0  # the cart we look for was left about so long ago


@dataclass(frozen=True, slots=True)
class Total:
    """How many have a raised or high score, and the margin expected of them together."""

    score: str
    asked: int
    high: int
    margin: float


@dataclass(frozen=True, slots=True)
class Shown:
    """One person of the six; no `customer_id` if there is nobody like that today."""

    kind: str
    title: str
    looked_for: str
    customer_id: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What Home shows; counts are of the customers looked at.

    Attributes
    ----------
    known, looked_at : int
        Customers in the store; less are looked at where they are very many.
    stages, flags, communications : tuple of (name, count), most frequent first
    """

    known: int
    looked_at: int
    totals: tuple[Total, ...]
    stages: tuple[tuple[str, int], ...]
    flags: tuple[tuple[str, int], ...]
    communications: tuple[tuple[str, int], ...]
    people: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of person to show: who fits, and who fits best (the smallest)."""

    name: str
    title: str
    looked_for: str
    fits: Callable[[Said, Looking], bool]
    rank: Callable[[Said, Looking], float]


def overview(looking: Looking, seen: Callable[[int, int], None] = lambda _, __: None) -> Overview:
    """Look at everybody, or at a stable sample of very many.

    Parameters
    ----------
    seen : (so many, of so many) -> None
        Told now and then how far it is.
    """
    known = looking.store.customer_ids()
    chosen, quick = sample(known, MOST_LOOKED_AT), looking.without_reasons()
    found = []
    for place, customer_id in enumerate(chosen):
        found.append(said_of(customer_id, quick))
        if place % 50 == 0:
            seen(place, len(chosen))
    return Overview(
        known=len(known),
        looked_at=len(chosen),
        totals=tuple(total(score, found) for score in SHARES if any_asked(score, found)),
        stages=counted(one["stage"] for one in found),
        flags=counted(flag for one in found for flag in one["flags"]),
        communications=counted(one["communication"] for one in found),
        people=six_people(found, quick),
    )


def sample(customer_ids: Sequence[str], most: int) -> tuple[str, ...]:
    """At most so many, the same ones every time, whatever their ids look like."""
    if len(customer_ids) <= most:
        return tuple(customer_ids)
    return tuple(sorted(customer_ids, key=lambda one: hashlib.sha256(one.encode()).digest())[:most])


def counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Names with how often they came, most frequent first."""
    return tuple(Counter(names).most_common())


def any_asked(score: str, found: Sequence[Said]) -> bool:
    """Whether the bundle has this score for anybody."""
    return any(value_of(one, score) is not None for one in found)


def total(score: str, found: Sequence[Said]) -> Total:
    """How many have it raised or high, and what they are expected to bring."""
    asked = [one for one in found if value_of(one, score) is not None]
    high = [one for one in asked if band_of(one, score) in ABOVE_USUAL]
    margin = sum(value_of(one, "expected_margin") or 0.0 for one in high)
    return Total(score, len(asked), len(high), round(margin, 2))


def value_of(one: Said, score: str) -> float | None:
    """A score of an answer, None where there is none."""
    found = one["scores"].get(score)
    return None if found is None else found["value"]


def band_of(one: Said, score: str) -> str:
    """Low, usual, raised, high, or nothing where there is no score."""
    value = value_of(one, score)
    return "" if value is None else band(value, one["scores"][score]["base_rate"])


# ---- The six -------------------------------------------------------------------------------


def six_people(found: Sequence[Said], looking: Looking) -> tuple[Shown, ...]:
    """For each kind the one who fits best; nobody twice."""
    taken: set[str] = set()
    shown = []
    for kind in KINDS:
        fitting = [
            one
            for one in found
            if _may_be_shown(one) and one["customer_id"] not in taken and kind.fits(one, looking)
        ]
        best = min(
            fitting, key=lambda one: (kind.rank(one, looking), one["customer_id"]), default=None
        )
        chosen = None if best is None else best["customer_id"]
        taken |= set() if chosen is None else {chosen}
        shown.append(Shown(kind.name, kind.title, kind.looked_for, chosen))
    return tuple(shown)


def _may_be_shown(one: Said) -> bool:
    """Whether the answer is a choice, and neither chance nor want of a better one."""
    return not one["fallback"] and one["arm"] == "policy"


def _flagged(one: Said, flag: str) -> bool:
    return flag in one["flags"]


def _sends(one: Said) -> bool:
    return one["communication"] != NO_CONTACT


def _asked_to_refer(one: Said, looking: Looking) -> bool:
    """An advocate who gets what only advocates get."""
    return _flagged(one, "advocate") and looking.requires(one["communication"]) == ("advocate",)


def _helped(one: Said, looking: Looking) -> bool:
    """Raised risk, and a message whose worth rests on that risk."""
    at_risk = band_of(one, "churn_risk") in ABOVE_USUAL
    return at_risk and "churn_risk" in looking.rests_on(one["communication"])


def _left_alone(one: Said, looking: Looking) -> bool:
    """Sure to buy, little risk, reachable, and yet nothing is worth sending."""
    sure = band_of(one, "repurchase_likelihood") in ABOVE_USUAL
    safe = band_of(one, "churn_risk") == LOW
    return sure and safe and not _sends(one) and not _flagged(one, "complaint_open")


def _held_back(one: Said, looking: Looking) -> bool:
    """An open complaint: no marketing, at most the answer that is owed."""
    silent_or_owed = looking.message_class(one["communication"]) != "marketing"
    return _flagged(one, "complaint_open") and silent_or_owed


def _answered(one: Said, looking: Looking) -> bool:
    """A detractor, without an open ticket, who gets an answer."""
    owed = _sends(one) and looking.message_class(one["communication"]) == "service"
    return _flagged(one, "detractor") and not _flagged(one, "complaint_open") and owed


def _cart_left(one: Said, looking: Looking) -> bool:
    """Something in the cart, and a message that needs just that."""
    return _flagged(one, "cart_open") and "cart_open" in looking.requires(one["communication"])


def _by_net(one: Said, looking: Looking) -> float:
    return -one["expected_net"]


def _by_repurchase(one: Said, looking: Looking) -> float:
    # Silence by worth shows it best, then silence after enough messages, then any other.
    rules = {refusal["rule"] for refusal in one["refusals"]}
    by = 0 if one["alternatives"] else 1 if rules & set(WAITING_HELPS) else 2
    return by - (value_of(one, "repurchase_likelihood") or 0.0)


def _by_margin(one: Said, looking: Looking) -> float:
    return -(value_of(one, "expected_margin") or 0.0)


def _by_cart_age(one: Said, looking: Looking) -> float:
    """Hours between the cart and the two hours that we look for."""
    return abs(cart_hours(one["customer_id"], looking) - CART_HOURS)


def cart_hours(customer_id: str, looking: Looking) -> float:
    """Hours since something was put in the cart."""
    signals = looking.store.customer_signals(customer_id)
    if signals is None:
        return float("inf")
    features = customer_at(customer_id, signals, looking.as_of, looking.engine).features
    days = features["days_since_product_added"]
    return float("inf") if days != days else 24 * days


KINDS: Final = (
    Kind(
        "promoter",
        "A loyal promoter, spoken to as one",
        "somebody who would recommend us, and a message for advocates that is worth sending",
        _asked_to_refer,
        _by_net,
    ),
    Kind(
        "at_risk",
        "Somebody at risk, helped",
        "a raised churn risk, and a message that is worth more than it costs",
        _helped,
        _by_net,
    ),
    Kind(
        "left_alone",
        "A sure buyer, left alone",
        "somebody who buys anyway, and for whom one more message is not worth its price",
        _left_alone,
        _by_repurchase,
    ),
    Kind(
        "complaint",
        "An open complaint: marketing held back",
        "an open support ticket, which stops all marketing",
        _held_back,
        _by_margin,
    ),
    Kind(
        "detractor",
        "A detractor, answered by a person",
        "somebody who answered 0 to 6, and is owed an answer",
        _answered,
        _by_margin,
    ),
    Kind(
        "cart",
        "A cart, left about two hours ago",
        "something in the cart, not ordered, and a reminder that suits",
        _cart_left,
        _by_cart_age,
    ),
)


def still_fits(person: Shown, looking: Looking) -> bool:
    """Whether somebody who was found in a look is like that at this moment too."""
    if person.customer_id is None:
        return False
    one = said_of(person.customer_id, looking.without_reasons())
    kind = next(kind for kind in KINDS if kind.name == person.kind)
    return _may_be_shown(one) and kind.fits(one, looking)


# ---- Computed once, beside the requests ----------------------------------------------------


@dataclass(slots=True)
class Progress:
    """How far a look at everybody is."""

    seen: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of everybody: the last overview, and how far a newer one is.

    Attributes
    ----------
    overview : Overview or None
        None before the first one is done.
    looked_at : int
        When it was begun, microseconds UTC.
    progress : Progress or None
        Of the one that is being made because something changed since; None: nothing did.
    """

    overview: Overview | None
    looked_at: int
    progress: Progress | None


class Superseded(ValueError):
    """Something changed again: what is being made is not wanted any more."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    key: tuple[str, ...]
    looking: Looking
    at: int
    progress: Progress = field(default_factory=Progress)


@dataclass(slots=True)
class Lookout:
    """The last look at everybody, kept and shown until the next one is done.

    One look is made at a time, in a thread; where something changes meanwhile, it is given up
    for one that sees the change.
    """

    failures: Failures = field(default_factory=Failures)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wanted: _Wanted | None = None
    _done: tuple[str, ...] = ()
    _overview: Overview | None = None
    _looked_at: int = 0
    _is_busy: bool = False

    def latest(self, key: tuple[str, ...], looking: Looking, at: int) -> Look:
        """The last overview, and how far the one for `key` is; the first who asks starts it.

        Parameters
        ----------
        key : tuple of str
            What it depends on; another key is another overview.
        at : int
            The present, microseconds UTC.
        """
        with self._lock:
            if key == self._done:
                return Look(self._overview, self._looked_at, None)
            if self._wanted is None or self._wanted.key != key:
                self._wanted = _Wanted(key, looking, at)
            if not self._is_busy:
                self._is_busy = True
                threading.Thread(target=self._look, daemon=True).start()
            return Look(self._overview, self._looked_at, self._wanted.progress)

    def _look(self) -> None:
        """Make what is wanted, until nothing newer is."""
        while (wanted := self._next()) is not None:
            try:
                found = overview(wanted.looking, partial(self._seen, wanted))
            except Superseded:
                continue
            except Exception as error:  # a thread has no caller; the next visit tries again
                self.failures.note("everybody could not be looked at", error)
                with self._lock:
                    if self._wanted is wanted:
                        self._wanted = None
                continue
            with self._lock:
                self._overview, self._looked_at, self._done = found, wanted.at, wanted.key

    def _next(self) -> _Wanted | None:
        """What is wanted and not done; None, and the thread ends, if nothing is."""
        with self._lock:
            if self._wanted is not None and self._wanted.key != self._done:
                return self._wanted
            self._wanted, self._is_busy = None, False
            return None

    def _seen(self, wanted: _Wanted, so_many: int, of_so_many: int) -> None:
        if self._wanted is not wanted:
            raise Superseded("something changed; what is being made is not wanted any more")
        wanted.progress.seen, wanted.progress.of = so_many, of_so_many
