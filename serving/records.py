"""The records that travel through a decision; all frozen, all named."""

from collections.abc import Mapping
from dataclasses import dataclass
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
ARMS: Final = ("holdout", "uniform", "policy")


@dataclass(frozen=True, slots=True)
class Contact:
    """A message that reached, or is about to reach, the customer.

    `at` in microseconds UTC. Messages known only from signals carry no name and count as
    marketing, since nobody said otherwise.
    """

    at: int
    channel: str
    message_class: str = "marketing"
    communication: str = ""


@dataclass(frozen=True, slots=True)
class Consent:
    """Whether a channel may be used for a purpose, and what says so.

    `basis` is ``recorded`` (a signal), ``assumed`` (policy.toml) or ``none``.
    """

    given: bool
    basis: str
    evidence: str | None = None


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
    paused : bool
        The crisis switch is on.
    """

    consents: Mapping[tuple[str, str], Consent]
    objected: bool = False
    contacts: tuple[Contact, ...] = ()
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer as seen at `as_of` (microseconds UTC).

    Attributes
    ----------
    features : mapping of feature name to float
        In the feature set's order; NaN where there is nothing to say.
    stage : str
        One of `STAGES`.
    """

    customer_id: str
    as_of: int
    anonymous: bool
    features: Mapping[str, float]
    stage: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A candidate removed: by which rule, and the nearest change that would let it through."""

    communication: str
    rule: str
    change: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A communication that may be chosen, with its worth for this customer.

    Money in currency units. ``expected_net = expected_effect * weight - cost - fatigue``.
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

    @property
    def selection_probability(self) -> float:
        """P(the policy chose this communication), given the arm."""
        return self.probabilities[self.chosen.communication]
