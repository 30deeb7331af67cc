"""The shapes on the wire that callers send; answers are in `answer_schemas` and `view_schemas`."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from features.signals import CUSTOMER_ID_PATTERN
from serving.plain_text import unseen

CUSTOMER_ID: Final = rf"^{CUSTOMER_ID_PATTERN}$"
NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"
PLAIN: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
# What a text must be to fit a pattern, for the error's words.
WORDS_OF_PATTERN: Final = {
    CUSTOMER_ID: "a text of 1 to 128 of the characters A-Z, a-z, 0-9 and _.:@-",
    NAME: "a text of 1 to 64 of the characters a-z, 0-9 and _, a letter first",
    PLAIN: "a text of at most 256 characters, all of which can be seen",
}


class HiddenCharacter(ValueError):
    """A text holds something that nobody sees."""


def require_plain(text: str) -> str:
    """The text itself.

    Raises
    ------
    HiddenCharacter
        If it holds a control or format character: they break logs and files that it may reach,
        and deceive those who read it.
    """
    hidden = unseen(text)
    if hidden:
        raise HiddenCharacter(f"{hidden} cannot be seen; leave it out")
    return text


Id = Annotated[str, StringConstraints(pattern=CUSTOMER_ID)]
Channel = Literal["email", "sms", "push", "inapp", "chat", "call", "post"]
Name = Annotated[str, StringConstraints(pattern=NAME)]
# As of an event's amount: 15 digits before the point can be added up ten thousand times.
MOST_MONEY: Final = 999_999_999_999_999
Money = Annotated[int, Field(ge=0, le=MOST_MONEY)] | Annotated[float, Field(ge=0, le=MOST_MONEY)]
Text = Annotated[
    str, StringConstraints(max_length=256, pattern=PLAIN), AfterValidator(require_plain)
]


class Sent(BaseModel):
    """What a caller sends: no field we do not know, nothing converted on the way."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class DecisionRequest(Sent):
    """Ask for the next best communication for one customer."""

    customer_id: Id
    channels: Annotated[list[Channel], Field(min_length=1, max_length=7)] | None = Field(
        None, description="Choose among these channels only; absent: among all."
    )
    exclude: Annotated[list[Name], Field(max_length=100)] | None = Field(
        None, description="Communications not to choose this time."
    )
    trigger: Text | None = Field(
        None,
        description="The event that made you ask, or the step of a sequence that was sent: only "
        "what waits for it is chosen from, and only in its moment.",
    )
    locale: Text | None = Field(
        None,
        description="Language of reasons, refusals and notes, such as de-AT: this one, else its "
        "language, else English. Logged with the decision.",
    )
    context: (
        Annotated[dict[Text, Text | int | float | bool | None], Field(max_length=32)] | None
    ) = Field(None, description="Flat; logged with the decision, not used to choose.")
    idempotency_key: Id | None = Field(
        None, description="The same key with the same request gets the same answer."
    )


class WhatIfRequest(Sent):
    """Ask what the models would say of a customer who differed in some features."""

    changes: Annotated[dict[Name, int | float], Field(max_length=16)] = Field(
        description="New values by feature; those of `can_change` only, within their ranges. "
        "Empty: what can be changed, and the nearest changes that matter."
    )
    locale: Text | None = Field(None, description="Language of labels, reasons and notes.")


class FormatRequest(Sent):
    """Query of a decision: nested, or flat for systems that map fields one by one."""

    format: Literal["nested", "flat"] = "nested"


class BatchRequest(Sent):
    """Ask for many customers at once. An item is a question as for one."""

    # Read one by one, so that a wrong item does not fail the others.
    decisions: Annotated[list[object], Field(min_length=1, max_length=500)]
    reasons: bool = Field(
        True,
        description="False: no sentences, neither of reasons nor of what a refusal waits for; "
        "saves about 40 % of the time.",
    )


class PauseRequest(Sent):
    """Turn a part of the crisis switch on or off."""

    on: bool = Field(description="True: hold back from now on. False: let go again.")
    reason: Text | None = Field(None, description="Why; stands in every refusal. Needed if on.")
    channel: Channel | None = Field(None, description="On this channel only; absent: on all.")
    stage: Name | None = Field(None, description="Customers of this stage only.")
    flag: Name | None = Field(None, description="Customers with this flag up only.")
    allow: Annotated[list[Name], Field(max_length=4)] | None = Field(
        None, description="Classes that may leave all the same; absent: transactional, crisis."
    )
    number: int | None = Field(None, ge=1, description="Which to turn off; absent: all.")


class PausesRequest(Sent):
    """Query of what is paused: from which customer on those are named whom a pause held back."""

    first: Annotated[int, Field(strict=False, ge=0, le=1_000_000_000)] = Field(
        0, description="0, 100, 200 ...: a hundred customers are named at once."
    )


class OutcomeRequest(Sent):
    """Tell what became of a decision. Each kind is kept once; the first one stays."""

    outcome: Literal[
        "sent",
        "not_sent",
        "delivered",
        "opened",
        "clicked",
        "accepted",
        "rejected",
        "converted",
        "unsubscribed",
        "complained",
    ]
    occurred_at: Text | None = Field(None, description="RFC 3339; absent: now.")
    amount: Money | None = Field(None, description="What it was worth, in the company's currency.")
    currency: Text | None = None


class StandingRequest(Sent):
    """Query of a standing decision."""

    channel: Channel | None = None
    format: Literal["nested", "flat"] = "nested"


class DueRequest(Sent):
    """Query of what is due: how many customers to look at, and after which id."""

    limit: Annotated[int, Field(strict=False, ge=1, le=200)] = Field(
        50, description="Customers looked at in one call."
    )
    after: Id | None = Field(None, description="`next` of the page before.")
