"""The shapes on the wire: what callers may send and what they receive."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from features.signals import CUSTOMER_ID_PATTERN

CUSTOMER_ID: Final = rf"^{CUSTOMER_ID_PATTERN}$"

CustomerId = Annotated[str, StringConstraints(pattern=CUSTOMER_ID)]
Channel = Literal["email", "sms", "push", "inapp", "chat", "call", "post"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# No control characters: they break logs and files that this text may reach.
Text = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Sent(BaseModel):
    """What a caller sends: no field we do not know, nothing converted on the way."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class DecisionRequest(Sent):
    """Ask for the next best communication for one customer."""

    customer_id: CustomerId
    channels: Annotated[list[Channel], Field(min_length=1, max_length=7)] | None = Field(
        None, description="Choose among these channels only; absent: among all."
    )
    exclude: Annotated[list[Name], Field(max_length=100)] | None = Field(
        None, description="Communications not to choose this time."
    )
    trigger: Text | None = Field(None, description="What made you ask; logged with the decision.")
    locale: Text | None = Field(None, description="Logged with the decision.")
    context: (
        Annotated[dict[Text, Text | int | float | bool | None], Field(max_length=32)] | None
    ) = Field(None, description="Flat; logged with the decision, not used to choose.")
    idempotency_key: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@-]{1,128}$")] | None
    ) = Field(None, description="The same key with the same request gets the same answer.")


class StandingRequest(Sent):
    """Query of a standing decision."""

    channel: Channel | None = None
    format: Literal["nested", "flat"] = "nested"


class ScoreAnswer(BaseModel):
    """One score. `value` is null where the score does not speak of this customer."""

    value: float | None
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
    fallback: bool
    note: str
    bundle: str
    catalog: str
    policy: str
    data: DataAnswer


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
    """Answer of the two health paths."""

    status: str
