import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.signals import DAY, HOUR
from serving.catalog import Communication
from serving.contact_policy import (
    NO_CONSENT,
    WAITING_HELPS,
    consent_for,
    free_again_at,
    moment,
    now_of,
    obstacles_now,
    refusal_now,
)
from serving.engine import Engine
from serving.policy import Cap, CoolOff, Policy
from serving.records import Consent, Contact, Ledger, OptOut, Pause, Refusal, Situation

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


def test_an_offer_of_today_is_not_chosen_in_a_night_that_outlasts_it(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    midnight = noon + 12 * HOUR
    offer = entry_of(rule_engine, "newsletter", valid_until=midnight)
    refusal = refusal_now(offer, NOBODY, shop_policy, midnight - 3 * HOUR)
    change = "valid_until in catalog.toml is later than 2026-11-01"
    assert refusal == Refusal("newsletter", "dates", change)
    # Before the quiet hours it leaves at once, and so it does where the clock shows the afternoon.
    assert refusal_now(offer, NOBODY, shop_policy, midnight - 3 * HOUR - 1) is None
    in_new_york = replace(NOBODY, traits={"timezone": "America/New_York"})
    assert refusal_now(offer, in_new_york, shop_policy, midnight - 3 * HOUR) is None
    longer = replace(offer, valid_until=midnight + 8 * HOUR + 1)
    assert refusal_now(longer, NOBODY, shop_policy, midnight - 3 * HOUR) is None
    # Over at eight sharp, when the night is: it would leave at the moment at which it is over.
    as_long = replace(offer, valid_until=midnight + 8 * HOUR)
    refusal = refusal_now(as_long, NOBODY, shop_policy, midnight - 3 * HOUR)
    assert refusal is not None
    assert refusal.rule == "dates"


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


@pytest.mark.parametrize(
    ("name", "event", "after", "may"),
    [
        ("order_confirmation", "Order Completed", 1, True),  # another order since it was sent
        ("order_confirmation", "Order Completed", 0, False),
        ("order_confirmation", "Order Completed", -1, False),  # the order that it confirmed
        ("order_confirmation", "Order Shipped", 1, False),
        ("cart_reminder", "Product Added", 1, False),  # nobody is owed a second reminder
        ("proactive_notice", "Order Delayed", 1, False),
    ],
)
def test_only_what_is_owed_anew_is_repeated_within_its_window(
    rule_engine: Engine, shop_policy: Policy, name: str, event: str, after: int, may: bool
) -> None:
    entry, sent = entry_of(rule_engine, name), 10 * DAY
    contact = Contact(sent, entry.channel, entry.message_class, name)
    ledger = Ledger(consents={}, contacts=(contact,))
    now = now_of(ledger, shop_policy, sent + HOUR, {event: sent + after})
    assert ("repetition" not in [one.rule for one in obstacles_now(entry, now)]) == may


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


# ---- Household, places, times of silence ---------------------------------------------------


def test_a_household_cap_counts_everybody_at_home(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    policy = replace(shop_policy, caps=(Cap("any", "marketing", 7, 3, "household"),))
    mine = (Contact(noon - DAY, "email"),)
    theirs = {"B": (Contact(noon - 2 * DAY, "sms"),), "C": (Contact(noon - 6 * DAY, "email"),)}
    newsletter = entry_of(rule_engine, "newsletter")
    full = Ledger(consents={}, contacts=mine, household=theirs)
    change = (
        "fewer than 3 contacts of the household (channel any, class marketing) in 7 days, now 3"
    )
    assert refusal_now(newsletter, full, policy, noon) == Refusal("newsletter", "cap", change)
    assert free_again_at(newsletter, full, policy) == noon + DAY  # when C's is a week old
    assert refusal_now(newsletter, full, policy, noon + DAY) is None
    by_person = replace(policy, caps=(replace(policy.caps[0], per="person"),))
    assert refusal_now(newsletter, full, by_person, noon) is None


def test_a_place_is_free_or_not(rule_engine: Engine, shop_policy: Policy, noon: int) -> None:
    call = entry_of(rule_engine, "ticket_apology", capacity_per_week=2)
    taken = [Ledger(consents={}, taken={call.name: n}) for n in range(4)]
    refused = [refusal_now(call, each, shop_policy, noon) for each in taken]
    assert refused[:2] == [None, None]
    change = "fewer than 2 places taken in 7 days, now 2"
    assert refused[2] == Refusal("ticket_apology", "capacity", change)
    assert refused[3] is not None


COOL = CoolOff(after_complaint_days=3, after_opt_out_days=14, after_order_days=2)


@pytest.mark.parametrize(
    ("changes", "rule", "days", "since"),
    [
        ({"situation": Situation(resolved_at=0)}, "cool_off", 3, "a ticket was resolved"),
        ({"opt_outs": (OptOut("sms", 0, True),)}, "cool_off", 14, "the customer turned sms off"),
        ({"situation": Situation(ordered_at=0)}, "after_order", 2, "the last order"),
    ],
)
def test_marketing_is_silent_for_some_days(
    rule_engine: Engine,
    shop_policy: Policy,
    changes: dict[str, Any],
    rule: str,
    days: int,
    since: str,
) -> None:
    policy = replace(shop_policy, cool_off=COOL)
    newsletter, ledger = entry_of(rule_engine, "newsletter"), Ledger(consents={}, **changes)
    last = days * DAY - 1
    change = f"{days} days have passed since {since}: {moment(days * DAY)}"
    assert refusal_now(newsletter, ledger, policy, last) == Refusal("newsletter", rule, change)
    assert refusal_now(newsletter, ledger, policy, days * DAY) is None
    assert free_again_at(newsletter, ledger, policy) == days * DAY
    service = entry_of(rule_engine, "ticket_apology")
    assert refusal_now(service, ledger, policy, last) is None
    gentle = entry_of(rule_engine, "newsletter", sells=False)
    assert (refusal_now(gentle, ledger, policy, last) is None) == (rule == "after_order")
    off = replace(shop_policy, cool_off=CoolOff())
    assert refusal_now(newsletter, ledger, off, 1) is None


def test_no_to_a_question_silences_no_other_channel(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    """Who never said yes to text messages has turned nothing off by saying no."""
    policy = replace(shop_policy, cool_off=COOL)
    newsletter = entry_of(rule_engine, "newsletter")
    said_no = Ledger(consents={}, opt_outs=(OptOut("sms", 0, had_said_yes=False),))
    assert refusal_now(newsletter, said_no, policy, DAY) is None
    assumed = policy.assumed_consents | {("sms", "marketing")}
    refusal = refusal_now(newsletter, said_no, replace(policy, assumed_consents=assumed), DAY)
    assert refusal is not None
    assert refusal.rule == "cool_off"


def test_a_channel_turned_off_and_on_again_is_open_and_the_others_rest(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    policy = replace(shop_policy, cool_off=COOL)
    newsletter = entry_of(rule_engine, "newsletter")
    yes = {
        EMAIL: Consent(True, "recorded", "form"),
        ("push", "marketing"): Consent(True, "recorded"),
    }
    ledger = Ledger(consents=yes, opt_outs=(OptOut("email", 0, had_said_yes=True),))
    assert refusal_now(newsletter, ledger, policy, DAY) is None
    refusal = refusal_now(replace(newsletter, channel="push"), ledger, policy, DAY)
    assert refusal is not None
    assert refusal.rule == "cool_off"


def test_the_last_money_of_a_run_may_be_spent_and_no_more(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    """To the last cent; what is owed takes nothing from it."""
    call = entry_of(rule_engine, "newsletter", cost=0.30)
    assert refusal_now(call, replace(NOBODY, money_left=0.30), shop_policy, noon) is None
    refusal = refusal_now(call, replace(NOBODY, money_left=0.29), shop_policy, noon)
    assert refusal is not None
    assert (refusal.rule, refusal.until) == ("budget", None)
    owed = entry_of(rule_engine, "ticket_apology")
    assert owed.cost > 0
    assert refusal_now(owed, replace(NOBODY, money_left=0.0), shop_policy, noon) is None


def test_after_the_end_one_farewell_and_no_marketing(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    ended = Ledger(consents={}, situation=Situation(stage="ended"))
    apology = entry_of(rule_engine, "ticket_apology")
    farewell = replace(apology, name="farewell", stages=("ended",))
    assert refusal_now(farewell, ended, shop_policy, noon) is None
    again = replace(ended, sent_ever=frozenset({"farewell"}))
    change = "it has not been sent: after the end it is sent once"
    assert refusal_now(farewell, again, shop_policy, noon) == Refusal("farewell", "ended", change)
    selling = entry_of(rule_engine, "newsletter", stages=("ended",))
    refusal = refusal_now(selling, ended, shop_policy, noon)
    assert refusal == Refusal("newsletter", "ended", "a person takes up the relationship again")
    receipt = replace(farewell, stages=("active", "ended"), message_class="transactional")
    assert refusal_now(receipt, again, shop_policy, noon) is None


@pytest.mark.parametrize(
    ("stated", "channel", "message_class", "may"),
    [
        ("", "email", "marketing", True),
        ("email", "email", "marketing", True),
        ("E-Mail", "email", "marketing", True),
        ("sms", "email", "marketing", False),
        ("SMS, Newsletter", "email", "marketing", True),
        ("E-Mail, SMS", "sms", "marketing", True),
        ("carrier pigeon", "email", "marketing", True),  # no channel of ours: no wish of ours
        ("sms", "email", "service", True),
        ("sms", "inapp", "marketing", True),  # waits in the app, reaches out to nobody
    ],
)
def test_a_stated_channel_binds_marketing_that_reaches_out(
    rule_engine: Engine,
    shop_policy: Policy,
    noon: int,
    stated: str,
    channel: str,
    message_class: str,
    may: bool,
) -> None:
    assumed = frozenset((each, "marketing") for each in ("email", "inapp", "sms"))
    policy = replace(shop_policy, assumed_consents=assumed)
    entry = entry_of(rule_engine, "newsletter", channel=channel, message_class=message_class)
    ledger = Ledger(consents={}, traits={"preferred_channel": stated} if stated else {})
    refusal = refusal_now(entry, ledger, policy, noon)
    change = "the customer prefers email, not sms"
    assert refusal == (None if may else Refusal("newsletter", "preferred_channel", change))


# ---- The whole change ----------------------------------------------------------------------


def test_a_refusal_names_every_rule_in_the_order_of_their_weight(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    policy = replace(
        shop_policy,
        assumed_consents=frozenset(),
        caps=(Cap("any", "any", 7, 1), Cap("email", "any", 3, 1, "household")),
        cool_off=COOL,
    )
    offer = entry_of(rule_engine, "winback_offer", discount_pct=20, capacity_per_week=1)
    ledger = Ledger(
        consents={},
        objected=True,
        contacts=(Contact(noon - DAY, "email", "marketing", offer.name),),
        pauses=(FIRE, replace(FIRE, number=4, channel="email", reason="flood")),
        opt_outs=(OptOut("sms", noon - DAY, True),),
        traits={"preferred_channel": "sms"},
        taken={offer.name: 1},
        situation=Situation("ended", (), noon - DAY, noon - 2 * DAY),
    )
    refusal = refusal_now(offer, ledger, policy, noon)
    assert refusal is not None
    assert refusal.rule == "objection"
    assert refusal.change.split(" and ") == [
        "the customer takes the objection back",
        "pause 3 is turned off (everything: fire)",
        "pause 4 is turned off (channel email: flood)",
        "a person takes up the relationship again",
        "the customer prefers email, not sms",
        "consent to email:marketing is on record",
        "max_discount_pct >= 20",
        "fewer than 1 place taken in 7 days, now 1",
        f"{offer.window_days} days have passed since it was last sent: "
        f"{moment(noon + (offer.window_days - 1) * DAY)}",
        f"3 days have passed since a ticket was resolved: {moment(noon + DAY)}",
        f"14 days have passed since the customer turned sms off: {moment(noon + 13 * DAY)}",
        f"2 days have passed since the last order: {moment(noon + DAY)}",
        "fewer than 1 contact (channel any, class any) in 7 days, now 1",
        "fewer than 1 contact of the household (channel email, class any) in 3 days, now 1",
    ]


def test_each_named_change_is_needed_and_together_they_are_enough(
    rule_engine: Engine, shop_policy: Policy, noon: int
) -> None:
    """Undo what a refusal names, one by one: the message may be sent after the last, not before."""
    policy = replace(shop_policy, cool_off=COOL)
    newsletter = entry_of(rule_engine, "newsletter")
    undo: list[Callable[[Ledger], Ledger]] = [
        lambda ledger: replace(ledger, objected=False),
        lambda ledger: replace(ledger, pauses=()),
        lambda ledger: replace(ledger, traits={}),
        lambda ledger: replace(ledger, opt_outs=()),
        lambda ledger: replace(ledger, contacts=()),
        lambda ledger: replace(ledger, situation=Situation()),
    ]
    ledger = Ledger(
        consents={},
        objected=True,
        contacts=(Contact(noon - DAY, "email", "marketing", "newsletter"),),
        pauses=(FIRE,),
        opt_outs=(OptOut("sms", noon - DAY, True),),
        traits={"preferred_channel": "sms"},
        situation=Situation("active", (), noon - DAY, None),
    )
    for count in range(len(undo)):
        for chosen in itertools.combinations(undo, count):
            left = reduce(lambda found, change: change(found), chosen, ledger)
            refusal = refusal_now(newsletter, left, policy, noon)
            assert refusal is not None
            assert len(refusal.change.split(" and ")) == len(undo) - count
    assert (
        refusal_now(
            newsletter, reduce(lambda found, change: change(found), undo, ledger), policy, noon
        )
        is None
    )


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
        per=st.sampled_from(["person", "household"]),
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
