"""What signals say about consent: given, withdrawn, or an objection to all direct marketing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from features.signals import CHANNELS

CONSENT_EVENTS: Final = (
    "Consent Given",
    "Consent Withdrawn",
    "Objection Raised",
    "Objection Withdrawn",
    "Unsubscribed",
    "Email Marked as Spam",
)
# Without a channel of their own, these speak of e-mail.
EMAIL_EVENTS: Final = ("Unsubscribed", "Email Marked as Spam")
EVERY_CHANNEL: Final = ""
MARKETING: Final = "marketing"
PURPOSES: Final = (MARKETING, "service", "research")

# Other words for our channels, as vendors write them; small letters, no signs.
_CHANNEL_WORDS: Final[Mapping[str, str]] = {
    **{channel: channel for channel in CHANNELS},
    "mail": "email",
    "newsletter": "email",
    "text": "sms",
    "mobile": "sms",
    "pushnotification": "push",
    "app": "inapp",
    "phone": "call",
    "telephone": "call",
    "letter": "post",
    "print": "post",
    "direct mail": "post",
}


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """One change of what a customer allows.

    Attributes
    ----------
    channel, purpose : str
        Such as ``email`` and ``marketing``. `EVERY_CHANNEL` where a withdrawal names none.
    given : bool
        False: withdrawn. Of an objection, True: taken back.
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

    `Unsubscribed` and `Email Marked as Spam` withdraw marketing by e-mail, or by the channel
    they name. A withdrawal whose channel is missing or unknown withdraws every channel: the
    careful reading of what was said. So one for a purpose that is none of `PURPOSES`, such as
    "newsletter" or "all", withdraws marketing. A consent to an unknown channel or purpose allows
    nothing.

    Parameters
    ----------
    properties : str or None
        JSON object.
    times : int, int
        `occurred_at` and `received_at`, microseconds UTC.
    """
    said = json.loads(properties) if properties else {}
    given = event in ("Consent Given", "Objection Withdrawn")
    objection = event.startswith("Objection")
    named = plain(channel or said.get("channel") or ("email" if event in EMAIL_EVENTS else ""))
    known = _CHANNEL_WORDS.get(named, named if given else EVERY_CHANNEL)
    purpose = MARKETING if objection else plain(said.get("purpose") or MARKETING)
    if not given and purpose not in PURPOSES:
        purpose = MARKETING
    return ConsentChange(
        customer_id=customer_id,
        channel=EVERY_CHANNEL if objection else known,
        purpose=purpose,
        given=given,
        evidence=str(said.get("evidence") or message_id),
        occurred_at=int(times[0]),
        received_at=int(times[1]),
        objection=objection,
    )


def channel_of(word: object) -> str:
    """Our name of the channel that a vendor's word means; empty where it means none."""
    return _CHANNEL_WORDS.get(plain(word), "")


def plain(word: object) -> str:
    """A word in small letters without signs: ``E-Mail`` becomes ``email``."""
    return str(word).strip().lower().replace("-", "").replace("_", " ")
