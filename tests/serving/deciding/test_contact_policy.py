from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.signals import DAY
from serving.catalog import Communication
from serving.contact_policy import (
    NO_CONSENT,
    WAITING_HELPS,
    consent_for,
    free_again_at,
    moment,
    refusal_now,
)
from serving.engine import Engine
from serving.policy import Cap, Policy
from serving.records import Consent, Contact, Ledger, Pause, Refusal

NOBODY = Ledger(consents={})
EMAIL = ("email", "marketing")
FIRE = Pause(3, "fire", 0)


def entry_of(engine: Engine, name: str, **changes: object) -> Communication:
    return replace(engine.catalog.communications[name], **changes)


def test_consent_is_denied_unless_recorded_or_assumed(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    newsletter = entry_of(rule_engine, "newsletter")
    strict = replace(shop_policy, assumed_consents=frozenset())
    refusal = refusal_now(newsletter, NOBODY, strict, noon)
    change = "consent to email:marketing is on record"
    assert refusal == Refusal("newsletter", "consent", change)
    assert consent_for(newsletter, NOBODY, strict) == NO_CONSENT

    assert refusal_now(newsletter, NOBODY, shop_policy, noon) is None
    assert consent_for(newsletter, NOBODY, shop_policy) == Consent(True, "assumed")

    recorded = Consent(True, "recorded", "form 7, 2026-02-01")
    ledger = Ledger(consents={EMAIL: recorded})
    assert refusal_now(newsletter, ledger, strict, noon) is None
    assert consent_for(newsletter, ledger, strict) == recorded


def test_recorded_withdrawal_wins_over_an_assumption(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    ledger = Ledger(consents={EMAIL: Consent(False, "recorded", "unsubscribed")})
    refusal = refusal_now(entry_of(rule_engine, "newsletter"), ledger, shop_policy, noon)
    assert refusal is not None
    assert refusal.rule == "consent"


def test_consent_to_one_channel_does_not_open_another(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    by_sms = entry_of(rule_engine, "newsletter", channel="sms")
    refusal = refusal_now(by_sms, NOBODY, shop_policy, noon)
    assert refusal == Refusal("newsletter", "consent", "consent to sms:marketing is on record")


@pytest.mark.parametrize(
    ("ledger", "rule", "change"),
    [
        (
            Ledger(consents={EMAIL: Consent(True, "recorded")}, objected=True),
            "objection",
            "the customer takes the objection back",
        ),
        (
            Ledger(consents={}, pauses=(replace(FIRE, allow=("service",)),)),
            "paused",
            "pause 3 is turned off (everything: fire)",
        ),
    ],
)
def test_objection_and_pause_stop_marketing_and_nothing_else(
    rule_engine: Engine,
    shop_policy: Policy,
    noon: int,
    ledger: Ledger,
    rule: str,
    change: str,
) -> None:
    found = refusal_now(entry_of(rule_engine, "newsletter"), ledger, shop_policy, noon)
    assert found == Refusal("newsletter", rule, change)
    content = entry_of(rule_engine, "useful_content_visitor")
    assert refusal_now(content, ledger, shop_policy, noon) is not None
    assert refusal_now(entry_of(rule_engine, "ticket_apology"), ledger, shop_policy, noon) is None


def test_content_alike_for_all_and_service_need_no_consent(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    strict = replace(shop_policy, assumed_consents=frozenset())
    for name in ("useful_content_visitor", "ticket_apology", "order_followup_help"):
        entry = entry_of(rule_engine, name)
        assert refusal_now(entry, NOBODY, strict, noon) is None
        assert consent_for(entry, NOBODY, strict) == NO_CONSENT


def test_discount_above_the_limit_is_refused(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    at_limit = entry_of(rule_engine, "winback_offer", discount_pct=15.0)
    above = entry_of(rule_engine, "winback_offer", discount_pct=20.0)
    assert refusal_now(at_limit, NOBODY, shop_policy, noon) is None
    refusal = refusal_now(above, NOBODY, shop_policy, noon)
    assert refusal == Refusal("winback_offer", "max_discount", "max_discount_pct >= 20")


def test_no_repetition_within_its_own_window(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    referral = entry_of(rule_engine, "referral_invitation")  # 90 days
    sent = noon - 90 * DAY + 1
    ledger = Ledger(consents={}, contacts=(Contact(sent, "email", "marketing", referral.name),))
    change = f"90 days have passed since it was last sent: {moment(sent + 90 * DAY)}"
    refusal = refusal_now(referral, ledger, shop_policy, noon)
    assert refusal == Refusal("referral_invitation", "repetition", change)
    assert refusal_now(referral, ledger, shop_policy, sent + 90 * DAY) is None
    assert refusal_now(entry_of(rule_engine, "newsletter"), ledger, shop_policy, noon) is None


def test_moment_is_readable(noon: int) -> None:
    assert moment(noon) == "2026-11-01 12:00 UTC"


def test_cap_counts_later_than_as_of_minus_days(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    newsletter = entry_of(rule_engine, "newsletter")
    recent = Contact(noon - DAY, "email")
    edge = Contact(noon - 7 * DAY, "email")
    inside = Contact(noon - 7 * DAY + 1, "email")
    free = Ledger(consents={}, contacts=(recent, edge))
    full = Ledger(consents={}, contacts=(recent, inside))
    assert refusal_now(newsletter, free, shop_policy, noon) is None
    change = "fewer than 2 contacts (channel any, class marketing) in 7 days, now 2"
    refusal = refusal_now(newsletter, full, shop_policy, noon)
    assert refusal == Refusal("newsletter", "cap", change)
    now = Ledger(consents={}, contacts=(recent, Contact(noon, "push")))
    assert refusal_now(newsletter, now, shop_policy, noon) is not None


def test_cap_counts_only_its_own_kind(rule_engine: Engine, shop_policy: Policy, noon: int) -> None:
    newsletter, apology = (entry_of(rule_engine, n) for n in ("newsletter", "ticket_apology"))
    service = tuple(Contact(noon - DAY, "email", "service") for _ in range(3))
    marketing = tuple(Contact(noon - DAY, "email", "marketing") for _ in range(3))
    by_service = Ledger(consents={}, contacts=service)
    by_marketing = Ledger(consents={}, contacts=marketing)
    assert refusal_now(newsletter, by_service, shop_policy, noon) is None
    assert refusal_now(apology, by_marketing, shop_policy, noon) is None
    change = "fewer than 3 contacts (channel any, class service) in 7 days, now 3"
    refusal = refusal_now(apology, by_service, shop_policy, noon)
    assert refusal == Refusal("ticket_apology", "cap", change)
    both = replace(shop_policy, caps=(Cap("any", "any", 7, 3),))
    assert refusal_now(newsletter, by_service, both, noon) is not None


def test_cap_of_zero_never_opens(rule_engine: Engine, shop_policy: Policy, noon: int) -> None:
    closed = replace(shop_policy, caps=(Cap("email", "any", 7, 0),))
    newsletter = entry_of(rule_engine, "newsletter")
    assert refusal_now(newsletter, NOBODY, closed, noon) is not None
    assert free_again_at(newsletter, NOBODY, closed) > noon + 10_000 * DAY


CONTACTS = st.lists(
    st.builds(
        Contact,
        at=st.integers(-40, 0).map(lambda half_days: half_days * (DAY // 2)),
        channel=st.sampled_from(["email", "sms"]),
        message_class=st.sampled_from(["marketing", "service"]),
        communication=st.sampled_from(["", "newsletter", "welcome"]),
    ),
    max_size=12,
)
CAPS = st.lists(
    st.builds(
        Cap,
        channel=st.sampled_from(["any", "email", "sms"]),
        message_class=st.sampled_from(["any", "marketing", "service"]),
        days=st.integers(1, 15),
        most=st.integers(1, 4),
    ),
    max_size=3,
)


def test_waiting_until_free_is_exactly_long_enough(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    newsletter = entry_of(rule_engine, "newsletter")

    @given(contacts=CONTACTS, caps=CAPS)
    def holds(contacts: list[Contact], caps: list[Cap]) -> None:
        moved = tuple(replace(contact, at=noon + contact.at) for contact in contacts)
        ledger = Ledger(consents={}, contacts=moved)
        policy = replace(shop_policy, caps=tuple(caps))
        free = free_again_at(newsletter, ledger, policy)
        refusal = refusal_now(newsletter, ledger, policy, noon)
        assert (refusal is None) == (free <= noon)
        if refusal is not None:
            assert refusal.rule in WAITING_HELPS
            assert refusal_now(newsletter, ledger, policy, free) is None
            assert refusal_now(newsletter, ledger, policy, free - 1) is not None

    holds()


def test_caps_are_never_exceeded_by_those_who_obey(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    """Send whenever allowed, twice a day; then count each cap's own kind by brute force."""
    mail = replace(entry_of(rule_engine, "newsletter", window_days=1), name="mail")

    @settings(max_examples=50, deadline=None)
    @given(caps=CAPS)
    def holds(caps: list[Cap]) -> None:
        policy = replace(shop_policy, caps=tuple(caps))
        sent: list[Contact] = []
        for half in range(60):
            at = noon + half * (DAY // 2)
            ledger = Ledger(consents={}, contacts=tuple(sent))
            if refusal_now(mail, ledger, policy, at) is None:
                sent.append(Contact(at, "email", "marketing", "mail"))
        assert sent
        for cap in caps:
            if cap.channel != "sms" and cap.message_class != "service":
                for last in sent:
                    within = [c for c in sent if last.at - cap.days * DAY < c.at <= last.at]
                    assert len(within) <= cap.most

    holds()
