"""What signals say about consent, however they spell it."""

import pytest

from features.consent import EVERY_CHANNEL, PURPOSES, consent_change


def said(
    event: str, channel: str | None = None, properties: str | None = None
) -> tuple[object, ...]:
    found = consent_change("c", event, channel, properties, "m-1", 1, 2)
    return found.channel, found.purpose, found.given, found.objection


@pytest.mark.parametrize("word", ["email", "Email", " E-Mail ", "EMAIL", "Newsletter"])
def test_a_channel_is_known_however_it_is_spelt(word: str) -> None:
    assert said("Consent Given", word) == ("email", "marketing", True, False)
    assert said("Consent Withdrawn", word) == ("email", "marketing", False, False)


def test_a_withdrawal_from_an_unknown_channel_ends_all_and_a_consent_to_it_allows_nothing() -> None:
    assert said("Consent Withdrawn", "fax") == (EVERY_CHANNEL, "marketing", False, False)
    assert said("Consent Withdrawn") == (EVERY_CHANNEL, "marketing", False, False)
    assert said("Consent Given", "fax") == ("fax", "marketing", True, False)


@pytest.mark.parametrize("word", ["newsletter", "all", "Marketing E-Mails", "*"])
def test_a_withdrawal_for_an_unknown_purpose_ends_marketing_and_a_consent_allows_nothing(
    word: str,
) -> None:
    words = f'{{"channel": "email", "purpose": "{word}"}}'
    assert said("Consent Withdrawn", "email", words) == ("email", "marketing", False, False)
    assert said("Consent Given", "email", words)[1] not in PURPOSES
    service = '{"purpose": "Service"}'
    assert said("Consent Withdrawn", "email", service) == ("email", "service", False, False)


def test_unsubscribing_and_a_spam_complaint_speak_of_email() -> None:
    assert said("Unsubscribed") == ("email", "marketing", False, False)
    assert said("Email Marked as Spam") == ("email", "marketing", False, False)
    assert said("Unsubscribed", "SMS") == ("sms", "marketing", False, False)


def test_an_objection_is_raised_and_taken_back() -> None:
    assert said("Objection Raised", "email") == (EVERY_CHANNEL, "marketing", False, True)
    assert said("Objection Withdrawn") == (EVERY_CHANNEL, "marketing", True, True)


def test_channel_purpose_and_evidence_may_stand_in_the_properties() -> None:
    words = '{"channel": "Push", "purpose": " Research ", "evidence": "form 7"}'
    found = consent_change("c", "Consent Given", None, words, "m-1", 1, 2)
    assert (found.channel, found.purpose, found.evidence) == ("push", "research", "form 7")
    assert consent_change("c", "Consent Given", "email", None, "m-1", 1, 2).evidence == "m-1"
