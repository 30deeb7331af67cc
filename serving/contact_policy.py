"""Contact policy: may we send this now? Objection, pause, consent, discounts, caps."""

import datetime as dt
from typing import Final

from features.signals import DAY, SECOND
from serving.catalog import Communication
from serving.policy import ANY, Cap, Policy
from serving.records import Consent, Contact, Ledger, Refusal

NO_CONSENT: Final = Consent(given=False, basis="none")

REPETITION: Final = "repetition"
CAP: Final = "cap"
WAITING_HELPS: Final = (REPETITION, CAP)  # rules that let go as time passes


def refusal_now(entry: Communication, ledger: Ledger, policy: Policy, as_of: int) -> Refusal | None:
    """The first rule that forbids the message now, or None.

    The order is that of weight: an objection outlives everything, then the pause, consent,
    the height of a discount, repetition and the caps.
    """
    marketing = entry.message_class == "marketing"
    if marketing and ledger.objected:
        return objection(entry.name)
    if marketing and ledger.paused:
        return Refusal(entry.name, "paused", "the crisis switch is turned off")
    if entry.needs_consent and not consent_for(entry, ledger, policy).given:
        wanted = f"consent to {entry.channel}:{entry.purpose} is on record"
        return Refusal(entry.name, "consent", wanted)
    if entry.discount_pct > policy.max_discount_pct:
        return Refusal(entry.name, "max_discount", f"max_discount_pct >= {entry.discount_pct:g}")
    return _repetition(entry, ledger, as_of) or _full_cap(entry, ledger, policy, as_of)


def objection(communication: str) -> Refusal:
    """Refusal of marketing to somebody who objected to it."""
    return Refusal(communication, "objection", "the customer takes the objection back")


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
    """When repetition and caps let the message through if nothing else is sent.

    Microseconds UTC; a moment of the past if they do already.
    """
    frees = [_repeatable_at(entry, ledger)]
    for cap in policy.caps:
        if _concerns(cap, entry.channel, entry.message_class):
            at = sorted(contact.at for contact in _counted(cap, ledger))
            frees.append(_slot_free_at(cap, at))
    return max(frees)


def moment(at: int) -> str:
    """Microseconds UTC as ``2026-11-01 08:00 UTC``."""
    return f"{dt.datetime.fromtimestamp(at // SECOND, dt.UTC):%Y-%m-%d %H:%M} UTC"


_NEVER: Final = 2**62  # later than any date; a cap of zero never has a free slot
_LONG_AGO: Final = -(2**62)


def _repetition(entry: Communication, ledger: Ledger, as_of: int) -> Refusal | None:
    """No communication is sent again while the last one is given time to work."""
    again = _repeatable_at(entry, ledger)
    if again <= as_of:
        return None
    change = f"{entry.window_days} days have passed since it was last sent: {moment(again)}"
    return Refusal(entry.name, REPETITION, change)


def _repeatable_at(entry: Communication, ledger: Ledger) -> int:
    sent = [contact.at for contact in ledger.contacts if contact.communication == entry.name]
    return max(sent) + entry.window_days * DAY if sent else _LONG_AGO


def _full_cap(entry: Communication, ledger: Ledger, policy: Policy, as_of: int) -> Refusal | None:
    for cap in policy.caps:
        if not _concerns(cap, entry.channel, entry.message_class):
            continue
        since = as_of - cap.days * DAY
        used = sum(contact.at > since for contact in _counted(cap, ledger))
        if used >= cap.most:
            change = (
                f"fewer than {cap.most} contacts (channel {cap.channel}, class "
                f"{cap.message_class}) in {cap.days} days, now {used}"
            )
            return Refusal(entry.name, CAP, change)
    return None


def _slot_free_at(cap: Cap, at: list[int]) -> int:
    """When fewer than `cap.most` of the contacts at these ascending moments are within the cap."""
    if cap.most == 0:
        return _NEVER
    return at[-cap.most] + cap.days * DAY if len(at) >= cap.most else _LONG_AGO


def _counted(cap: Cap, ledger: Ledger) -> list[Contact]:
    """Contacts of the kind a cap is about; planned ones, later than now, count as well."""
    return [c for c in ledger.contacts if _concerns(cap, c.channel, c.message_class)]


def _concerns(cap: Cap, channel: str, message_class: str) -> bool:
    return cap.channel in (ANY, channel) and cap.message_class in (ANY, message_class)
