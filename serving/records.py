"""The records that travel through a decision; all frozen, all named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from features.signals import CHANNELS as CHANNELS
from features.stage import STAGES as STAGES
from models.expectation import Expectation

NO_CONTACT: Final = "no_contact"
FLAGS: Final = (
    "cart_open",
    "order_in_transit",
    "complaint_open",
    "renewal_near",
    "researching",
    "advocate",
    "detractor",
    "high_value",
    "objector",
)
CLASSES: Final = ("marketing", "service", "transactional", "crisis")
ANY: Final = "any"  # in a cap or a pause: every channel, class, stage or flag
ARMS: Final = ("holdout", "uniform", "policy")


@dataclass(frozen=True, slots=True)
class Contact:
    """A message that reached, or is about to reach, the customer.

    `at` in microseconds UTC. Messages known only from signals carry no name and count as
    marketing, since nobody said otherwise. `answered`: as far as is known, see
    `serving.responses`.
    """

    at: int
    channel: str
    message_class: str = "marketing"
    communication: str = ""
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether a channel may be used for a purpose, and what says so.

    `basis` is ``recorded`` (a signal), ``assumed`` (policy.toml) or ``none``.
    """

    given: bool
    basis: str
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A part of the crisis switch that is on: what it holds back, and what may still leave.

    Attributes
    ----------
    number : int
        Under which it is turned off again.
    reason : str
        Why, in the words of whoever turned it on.
    since : int
        Microseconds UTC.
    channel, stage, flag : str
        What it is about; `ANY` where it is about all.
    allow : tuple of str
        Message classes that may leave all the same.
    ended_at : int or None
        When it was turned off, microseconds UTC; None: it is on.
    """

    number: int
    reason: str
    since: int
    channel: str = ANY
    stage: str = ANY
    flag: str = ANY
    allow: tuple[str, ...] = ("transactional", "crisis")
    ended_at: int | None = None

    def holds_back(self, channel: str, message_class: str, situation: "Situation") -> bool:
        """Whether a message of this kind to such a customer must not leave."""
        return (
            message_class not in self.allow
            and self.channel in (ANY, channel)
            and self.stage in (ANY, situation.stage)
            and (self.flag == ANY or self.flag in situation.flags)
        )


@dataclass(frozen=True, slots=True)
class OptOut:
    """A channel that the customer turned off for marketing, and did not turn on again.

    Attributes
    ----------
    at : int
        When, microseconds UTC.
    had_said_yes : bool
        Whether consent was on record before. Who never said yes may only have said no to a
        question, and leaves nothing.
    """

    channel: str
    at: int
    had_said_yes: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a customer stands, as far as the contact policy asks.

    Attributes
    ----------
    stage : str
        Empty where it is not known.
    ordered_at, resolved_at : int or None
        The last order, and the last ticket that was resolved; microseconds UTC.
    """

    stage: str = ""
    flags: tuple[str, ...] = ()
    ordered_at: int | None = None
    resolved_at: int | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What must be read under the customer's lock, at the moment of choosing.

    Attributes
    ----------
    consents : mapping of (channel, purpose) to Consent
        Recorded ones only; what is assumed stands in the policy.
    objected : bool
        An objection to direct marketing is on record.
    contacts : tuple of Contact
        All contacts of the longest cap window, from signals and from the decision log.
    pauses : tuple of Pause
        The parts of the crisis switch that are on.
    reviewed : tuple of Pause
        Parts that are off again, of which a person looks at what they held back.
    household : mapping of customer to contacts
        Those of the others in the customer's household.
    opt_outs : tuple of OptOut
    traits : mapping of name to text
        What the customer stated; names as in `features.traits.KEPT`.
    sent_ever : frozenset of str
        Communications that were ever sent, however long ago.
    taken : mapping of communication to count
        Places taken in the last seven days, by whomever, of what is limited.
    money_left : float or None
        Of the budget of this run, in currency units; None: there is none.
    situation : Situation
        Known before the lock; beside the rest so that one record tells all.
    """

    consents: Mapping[tuple[str, str], Consent]
    objected: bool = False
    contacts: tuple[Contact, ...] = ()
    pauses: tuple[Pause, ...] = ()
    reviewed: tuple[Pause, ...] = ()
    household: Mapping[str, tuple[Contact, ...]] = field(default_factory=dict)
    opt_outs: tuple[OptOut, ...] = ()
    traits: Mapping[str, str] = field(default_factory=dict)
    sent_ever: frozenset[str] = frozenset()
    taken: Mapping[str, int] = field(default_factory=dict)
    money_left: float | None = None
    situation: Situation = Situation()


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer as seen at `as_of` (microseconds UTC).

    Attributes
    ----------
    features : mapping of feature name to float
        In the feature set's order; NaN where there is nothing to say.
    stage : str
        One of `STAGES`.
    last_at : mapping of event to int
        When each event that the catalog listens to last happened, microseconds UTC.
    """

    customer_id: str
    as_of: int
    anonymous: bool
    features: Mapping[str, float]
    stage: str
    last_at: Mapping[str, int] = field(default_factory=dict)


# A text, or how it is made: hundreds of sentences are possible in a decision, and making them
# takes longer than deciding.
Words = str | Callable[[], str]


def said(words: Words) -> str:
    """The text, made now if it was not yet."""
    return words if isinstance(words, str) else words()


@dataclass(slots=True, eq=False, repr=False)
class Refusal:
    """A candidate removed: by which rule first, and the whole change that would let it through.

    Not frozen: its words are made when they are first read, and kept.

    `until`: when time alone lets it through, microseconds UTC; None where waiting does not help.
    The words of `change` say so too, so it is no part of what makes two refusals equal.
    """

    communication: str
    rule: str
    words: Words
    until: int | None = None

    @property
    def change(self) -> str:
        """What would have to be different, in words."""
        self.words = said(self.words)
        return self.words

    def __repr__(self) -> str:
        """With its words said."""
        return f"Refusal{self._told()}"

    def __eq__(self, other: object) -> bool:
        """Whether both say the same."""
        return isinstance(other, Refusal) and self._told() == other._told()

    def __hash__(self) -> int:
        """Of what is said."""
        return hash(self._told())

    def _told(self) -> tuple[str, str, str]:
        return self.communication, self.rule, self.change


@dataclass(frozen=True, slots=True)
class Candidate:
    """A communication that may be chosen, with its worth for this customer.

    Money in currency units. ``expected_net = expected_effect * weight - cost - fatigue - novelty -
    price``, where `fatigue` and `novelty` are what past messages cost this one (see
    `serving.fatigue`), and `price` is what scarce money and places cost in a batch (see
    `serving.prices`). In the effect that the catalog states, `response` is a factor: how the
    customer answers on this channel (see `serving.responses`).
    """

    communication: str
    name: str
    channel: str
    message_class: str
    expected_effect: float
    standard_error: float
    cost: float
    fatigue: float
    expected_net: float
    effect_basis: str
    evidence: int
    weight: float = 1.0
    price: float = 0.0
    novelty: float = 0.0
    response: float = 1.0


@dataclass(frozen=True, slots=True)
class Versions:
    """Hashes of what decided: ``sha256:...`` each, empty where there was none."""

    bundle: str
    catalog: str
    policy: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen, with which probability, what was refused, and why.

    Attributes
    ----------
    chosen : Candidate
        `no_contact` is a candidate like another.
    probabilities : mapping of communication to float
        The whole vector over the allowed set, conditional on the arm; sums to 1.
    ranked : tuple of Candidate
        The allowed set, best first, `no_contact` included.
    terms : str
        Conditions of the offer that was chosen; empty where there is none.
    human : bool
        Whether what was chosen is a task for a person.
    """

    customer_id: str
    as_of: int
    chosen: Candidate
    arm: str
    arm_share: float
    probabilities: Mapping[str, float]
    ranked: tuple[Candidate, ...]
    refusals: tuple[Refusal, ...]
    expectation: Expectation
    stage: str
    flags: tuple[str, ...]
    consent: Consent
    not_before: int
    reconsider_at: int
    valid_until: int
    versions: Versions
    fallback: bool = False
    note: str = ""
    terms: str = ""
    human: bool = False

    @property
    def selection_probability(self) -> float:
        """P(the policy chose this communication), given the arm."""
        return self.probabilities[self.chosen.communication]
