"""The shapes of what is shown of customers, communications and models; nothing is decided here."""

from pydantic import BaseModel, Field

from serving.calls.answer_schemas import DataAnswer, DecisionAnswer, ReasonAnswer, ScoreAnswer


class SignalsAnswer(BaseModel):
    """How much is known of a customer."""

    count: int
    first_at: str
    last_at: str


class GivenConsent(BaseModel):
    """A consent, or its withdrawal, on record."""

    channel: str
    purpose: str
    given: bool
    evidence: str | None


class CustomerAnswer(BaseModel):
    """A customer as seen now. Whoever objected to marketing has no scores."""

    customer_id: str
    as_of: str
    stage: str
    flags: list[str]
    scores: dict[str, ScoreAnswer]
    currency: str
    signals: SignalsAnswer
    objected: bool
    consents: list[GivenConsent]
    note: str
    bundle: str
    data: DataAnswer


class FeatureAnswer(BaseModel):
    """One quantity that the models saw; null where there is nothing to say."""

    name: str
    label: str
    unit: str
    group: str
    value: float | None


class TermAnswer(BaseModel):
    """A part of a net worth.

    `kind`: `stated`, `opt_out`, `response`, `measured`, `cost`, `fatigue`, `novelty` or `price`.

    `of`: the scores, sums of money and features that it is a product of.
    """

    kind: str
    of: list[str]
    money: float


class WorthAnswer(BaseModel):
    """The net worth of a communication; its terms sum to it."""

    communication: str
    name: str
    expected_net: float
    terms: list[TermAnswer]


class GroupAnswer(BaseModel):
    """What a group of features adds to the lead; codes as in reasons."""

    code: str
    money: float


class SourceAnswer(BaseModel):
    """What a score, a margin or a feature adds to the lead on its way from where it starts."""

    name: str
    label: str
    start: float
    value: float
    money: float
    groups: list[GroupAnswer]


class FlipAnswer(BaseModel):
    """A change of one thing that would put another communication first, all else as it is.

    `what`: a score, `usual_margin`, `cost`, `weight` or `effect`; `of`: of which communication.
    """

    what: str
    of: str
    now: float
    value: float
    instead: str
    text: str


class LeadAnswer(BaseModel):
    """Why the first by worth is before the second: `start` and all sources sum to `money`.

    `changes` begin with the smallest.
    """

    first: WorthAnswer
    second: WorthAnswer
    money: float
    start: float
    sources: list[SourceAnswer]
    changes: list[FlipAnswer]


class ExplanationAnswer(BaseModel):
    """Why: what would be answered now, without deciding, and what it rests on.

    `learning` says so where chance chose. `lead` is null where silence alone is allowed.
    """

    decision: DecisionAnswer
    features: list[FeatureAnswer]
    learning: str
    lead: LeadAnswer | None


class MoveAnswer(BaseModel):
    """A feature before and after; `asked` is false for what only follows from the rest."""

    feature: str
    label: str
    unit: str
    before: float | None
    after: float | None
    asked: bool


class SupposedScore(BaseModel):
    """A score now and then, each with its band: low, usual, raised, high; empty for money."""

    now: ScoreAnswer
    then: ScoreAnswer
    band_now: str
    band_then: str


class NearestAnswer(BaseModel):
    """The smallest change, in standardised steps, that moves a score into another band."""

    value: float
    band: str
    changes: list[MoveAnswer]
    steps: float


class LeverAnswer(BaseModel):
    """What may be changed, and between which values; they were seen in training."""

    feature: str
    label: str
    unit: str
    value: float
    low: float
    high: float
    whole: bool


class WhatIfAnswer(BaseModel):
    """What the models would say; never what would happen. Nothing is logged."""

    customer_id: str
    as_of: str
    changes: list[MoveAnswer]
    scores: dict[str, SupposedScore]
    reasons: list[ReasonAnswer]
    nearest: dict[str, NearestAnswer | None]
    can_change: list[LeverAnswer]
    note: str
    bundle: str
    data: DataAnswer


class PriorAnswer(BaseModel):
    """What the company believes that a communication does, and where that comes from."""

    share: float
    share_sd: float
    of: list[str]
    source: str
    reviewed: bool


class CommunicationAnswer(BaseModel):
    """A communication of the catalog."""

    communication: str
    name: str
    channel: str
    message_class: str = Field(alias="class")
    purpose: str
    stages: list[str]
    requires_flags: list[str]
    blocked_by_flags: list[str]
    where: list[str]
    trigger: list[str]
    after: str
    delay_minutes: int
    cancel_on: list[str]
    terms: str
    approved: bool
    human: bool
    cost: float
    window_days: int
    prior: PriorAnswer


class CommunicationsAnswer(BaseModel):
    """The whole catalog."""

    communications: list[CommunicationAnswer]
    currency: str
    catalog: str


class MeasuredAnswer(BaseModel):
    """How one model did on one target's test snapshots."""

    target: str
    model: str
    rows: int
    positives: int
    auc: float | None
    log_loss: float | None
    brier: float | None
    calibration_error: float | None
    calibration_slope: float | None
    serves: bool
    verdict: str


class TargetAnswer(BaseModel):
    """What a score asks."""

    name: str
    question: str
    window_days: int
    base_rate: float | None


class ServiceTime(BaseModel):
    """When a bundle came into service, and how."""

    bundle: str
    changed_at: str
    how: str


class ModelsAnswer(BaseModel):
    """The bundle in service: what it answers, how well, and what served before."""

    bundle: str
    as_of: str | None
    targets: list[TargetAnswer]
    metrics: list[MeasuredAnswer]
    notes: list[str]
    history: list[ServiceTime]
    data: DataAnswer
