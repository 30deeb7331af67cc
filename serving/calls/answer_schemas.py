"""The shapes of answers to calls that decide, report or hold back, of health and of errors.

What callers send is in `serving.calls.schemas`; what only looks is answered in
`serving.calls.view_schemas`.
"""

from pydantic import BaseModel, Field


class ScoreAnswer(BaseModel):
    """One score. `value` is null where the score does not speak of this customer.

    Nine customers in ten bring a margin between `low` and `high`; null for other scores.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    window_days: int
    base_rate: float
    served_by: str
    note: str


class ReasonAnswer(BaseModel):
    """Why a score reads as it does."""

    code: str
    score: str
    points: float
    direction: str
    text: str


class AlternativeAnswer(BaseModel):
    """Another communication that was allowed."""

    communication: str
    expected_net: float


class RefusalAnswer(BaseModel):
    """A communication that was not allowed, and the nearest change that would allow it."""

    communication: str
    rule: str
    change: str


class ConsentAnswer(BaseModel):
    """What allows the contact: recorded, assumed or none."""

    basis: str
    evidence: str | None


class DataAnswer(BaseModel):
    """Which data set answered, and whether its people are invented."""

    name: str
    simulated: bool
    clock: str


class DecisionAnswer(BaseModel):
    """The next best communication; `no_contact` is one like another."""

    decision_id: str
    customer_id: str
    as_of: str
    decided_at: str
    valid_until: str
    communication: str
    name: str
    channel: str
    message_class: str = Field(alias="class")
    arm: str
    selection_probability: float
    not_before: str
    reconsider_at: str
    expected_effect: float
    standard_error: float
    cost: float
    fatigue: float
    novelty: float
    price: float
    weight: float
    response: float
    expected_net: float
    currency: str
    effect_basis: str
    evidence: int
    stage: str
    flags: list[str]
    scores: dict[str, ScoreAnswer]
    reasons: list[ReasonAnswer]
    alternatives: list[AlternativeAnswer]
    refusals: list[RefusalAnswer]
    consent: ConsentAnswer
    terms: str
    human: bool
    fallback: bool
    note: str
    bundle: str
    catalog: str
    policy: str
    data: DataAnswer


class DueItem(BaseModel):
    """A message whose moment has come, and what it came after."""

    trigger: str
    decision: DecisionAnswer


class DueAnswer(BaseModel):
    """Messages to send now, by customer. Each moment is decided once; report what was sent.

    `silent`: moments of this page in which nothing is the better answer. `next`: ask again with
    it as `after`; null at the end.
    """

    as_of: str
    items: list[DueItem]
    silent: int
    next: str | None
    note: str


class ItemProblem(BaseModel):
    """What is wrong with an item of a batch."""

    pointer: str
    code: str
    detail: str


class BatchItem(BaseModel):
    """One answer of a batch: `decision` with status 200, `errors` with status 422."""

    index: int
    status: int
    decision: DecisionAnswer | None = None
    errors: list[ItemProblem] | None = None


class BatchAnswer(BaseModel):
    """Answers in the order of the questions."""

    items: list[BatchItem]


class ItemReason(BaseModel):
    """Why an event was put aside."""

    code: str
    detail: str


class EventReport(BaseModel):
    """What became of one event: accepted, duplicate, quarantined or ignored."""

    index: int
    message_id: str
    status: str
    reasons: list[ItemReason]
    note: str


class EventsAnswer(BaseModel):
    """What became of a batch of events."""

    received_at: str
    accepted: int
    duplicate: int
    quarantined: int
    ignored: int
    note: str
    items: list[EventReport]


class OutcomeAnswer(BaseModel):
    """What is on record after a report.

    `recorded` is false if the kind had been reported before; what is shown is then the first.
    """

    decision_id: str
    outcome: str
    occurred_at: str
    amount: float | None
    currency: str
    recorded: bool
    late: bool
    gives_cap_back: bool
    withdraws_consent: bool


class PauseAnswer(BaseModel):
    """A part of the crisis switch that is on; `any` stands for all."""

    number: int
    reason: str
    since: str
    channel: str
    stage: str
    flag: str
    allow: list[str]


class PausesAnswer(BaseModel):
    """What is paused, oldest first."""

    pauses: list[PauseAnswer]


class WithheldAnswer(BaseModel):
    """Decisions to say nothing in which nothing but pauses stood in the way of some message.

    `people`: how many customers; `customers` names a hundred of them. `complete` is false where
    only the newest 2,000 decisions to say nothing were looked at.
    """

    decisions: int
    people: int
    customers: list[str]
    complete: bool


class ReviewedPauseAnswer(PauseAnswer):
    """A pause that is over, and of which a person looks at what it held back."""

    ended_at: str
    withheld: WithheldAnswer


class PausesLookAnswer(PausesAnswer):
    """What is paused and what is under review, and whom pauses kept from a message; by number."""

    withheld: dict[str, WithheldAnswer]
    under_review: list[ReviewedPauseAnswer]


class ProblemError(BaseModel):
    """Where in a request the trouble lies: a JSON pointer, a word for machines, a sentence."""

    pointer: str
    code: str
    detail: str


class Problem(BaseModel):
    """Every error of this service (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError]


class Health(BaseModel):
    """Answer of the two health paths; `note` says what somebody should mend.

    `damaged`: the bundle that should serve and is damaged on the disk; `serves`: the one that does.
    """

    status: str
    damaged: str = ""
    serves: str = ""
    note: str = ""


class FailureCount(BaseModel):
    """How often something failed in one place and was answered all the same."""

    what: str
    error: str
    place: str
    count: int


class MetricAnswer(BaseModel):
    """A metric: `failures` has `since`, `total` and `counts`; `champion` has the rest."""

    metric: str
    since: str = ""
    total: int = 0
    counts: list[FailureCount] = []
    champion: str | None = None
    serves: str = ""
    damaged: bool = False
    note: str = ""
