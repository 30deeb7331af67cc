"""What signals say about consent: given, withdrawn, or an objection to all direct marketing."""

import json
from dataclasses import dataclass
from typing import Final

CONSENT_EVENTS: Final = (
    "Consent Given",
    "Consent Withdrawn",
    "Objection Raised",
    "Unsubscribed",
)


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """One change of what a customer allows.

    Attributes
    ----------
    channel, purpose : str
        Such as ``email`` and ``marketing``. Empty `channel`: every channel.
    given : bool
        False: withdrawn.
    evidence : str
        What proves it; the message id where the signal names nothing else.
    objection : bool
        Whether the customer objects to all direct marketing.
    """

    customer_id: str
    channel: str
    purpose: str
    given: bool
    evidence: str
    occurred_at: int
    received_at: int
    objection: bool


def consent_change(
    customer_id: str,
    event: str,
    channel: str | None,
    properties: str | None,
    message_id: str,
    *times: int,
) -> ConsentChange:
    """What one of `CONSENT_EVENTS` says.

    `Unsubscribed` withdraws marketing by e-mail (or by the channel it names). A withdrawal that
    names no channel counts as an objection: the careful reading of what was said.

    Parameters
    ----------
    properties : str or None
        JSON object.
    times : int, int
        `occurred_at` and `received_at`, microseconds UTC.
    """
    said = json.loads(properties) if properties else {}
    named = channel or said.get("channel") or ""
    objection = event == "Objection Raised" or (event == "Consent Withdrawn" and not named)
    if event == "Unsubscribed":
        named = named or "email"
    return ConsentChange(
        customer_id=customer_id,
        channel="" if objection else str(named),
        purpose="marketing" if objection else str(said.get("purpose") or "marketing"),
        given=event == "Consent Given",
        evidence=str(said.get("evidence") or message_id),
        occurred_at=int(times[0]),
        received_at=int(times[1]),
        objection=objection,
    )
