from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from features.signals import ABSENT, CONTACT_EVENTS, DAY, EMPTY, KNOWN_EVENTS, SignalColumns, code
from serving.decision import (
    contacts_in_signals,
    customer_at,
    decide,
    expectation_of,
    fallback,
    propose,
    settle,
)
from serving.engine import Engine
from serving.records import Consent, Contact, Customer, Decision, Ledger, Pause, Versions

CustomerMaker = Callable[..., Customer]
Renamer = Callable[[Customer, str], Customer]
NOBODY = Ledger(consents={})


def signals_of(*rows: tuple[str, int, int]) -> SignalColumns:
    """Signals from (event, occurred_at, received_at)."""
    rows = tuple(sorted(rows, key=lambda row: row[1]))
    events = np.array([code(event) for event, _, _ in rows], dtype=np.int64)
    occurred = np.array([at for _, at, _ in rows], dtype=np.int64)
    received = np.array([at for _, _, at in rows], dtype=np.int64)
    amounts = np.array(
        [3_000 if event == "Order Completed" else ABSENT for event, _, _ in rows], dtype=np.int64
    )
    absent = np.full(len(rows), ABSENT, dtype=np.int64)
    return SignalColumns(
        events, occurred, received, amounts, absent, np.zeros(len(rows), dtype=np.int64)
    )


def orders(*days_ago: float, noon: int) -> SignalColumns:
    return signals_of(*(("Order Completed", at := noon - int(d * DAY), at) for d in days_ago))


# ---- one decision ------------------------------------------------------------------------


def test_decision_says_all_that_is_needed_to_repeat_it(
    regular: Customer, rule_engine: Engine, renamed: Renamer, id_in_arm: Callable[[str], str]
) -> None:
    customer = renamed(regular, id_in_arm("policy"))
    decision = decide(customer, rule_engine, NOBODY, 0.0)
    assert decision.chosen in decision.ranked
    assert set(decision.probabilities) == {each.communication for each in decision.ranked}
    assert sum(decision.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    allowed = {each.communication for each in decision.ranked} - {"no_contact"}
    refused = {refusal.communication for refusal in decision.refusals}
    assert allowed | refused == set(rule_engine.catalog.communications)
    assert allowed & refused == set()
    assert (decision.arm, decision.arm_share) == ("policy", pytest.approx(0.9))
    assert decision.versions == rule_engine.versions
    assert decision.versions.bundle == "sha256:" + "0" * 64
    assert (decision.stage, decision.fallback, decision.note) == ("active", False, "")
    assert decide(customer, rule_engine, NOBODY, 0.0) == decision


def test_deciding_is_proposing_then_settling(regular: Customer, rule_engine: Engine) -> None:
    for uniform in (0.0, 0.3, 0.999):
        whole = decide(regular, rule_engine, NOBODY, uniform)
        assert settle(propose(regular, rule_engine), rule_engine, NOBODY, uniform) == whole


def test_best_is_chosen_and_carries_its_consent(
    regular: Customer, rule_engine: Engine, renamed: Renamer, id_in_arm: Callable[[str], str]
) -> None:
    sure = replace(rule_engine, policy=replace(rule_engine.policy, epsilon=0.0))
    customer = renamed(regular, id_in_arm("policy"))
    decision = decide(customer, sure, NOBODY, 0.5)
    assert decision.chosen == decision.ranked[0]
    assert decision.chosen.communication == "cross_sell"
    assert decision.chosen.expected_net > 0
    assert decision.selection_probability == 1.0
    assert decision.consent == Consent(given=True, basis="assumed")
    assert decision.not_before == customer.as_of
    assert decision.valid_until == customer.as_of + DAY
    assert decision.reconsider_at == customer.as_of + 7 * DAY

    recorded = Consent(True, "recorded", "opt-in 2026-01-05")
    ledger = Ledger(consents={("email", "marketing"): recorded})
    assert decide(customer, sure, ledger, 0.5).consent == recorded


def test_silence_when_every_contact_costs_more_than_it_brings(
    regular: Customer, rule_engine: Engine, renamed: Renamer, id_in_arm: Callable[[str], str]
) -> None:
    policy = rule_engine.policy
    dear = replace(policy, epsilon=0.0, caps=(), fatigue=replace(policy.fatigue, price=50.0))
    engine = replace(rule_engine, policy=dear)
    customer = renamed(regular, id_in_arm("policy"))
    ledger = Ledger(consents={}, contacts=(Contact(customer.as_of - DAY, "email"),))
    decision = decide(customer, engine, ledger, 0.5)
    assert decision.chosen.communication == "no_contact"
    assert len(decision.ranked) > 1
    assert all(each.expected_net < 0 for each in decision.ranked[1:])
    assert decision.consent == Consent(given=False, basis="none")


def test_different_customers_get_different_communications(
    customer_with: CustomerMaker,
    regular: Customer,
    rule_engine: Engine,
    id_in_arm: Callable[[str], str],
) -> None:
    engine = replace(rule_engine, policy=replace(rule_engine.policy, epsilon=0.0))
    who = id_in_arm("policy")
    buyer = {
        "days_since_first_order": 300.0,
        "tenure_days": 300.0,
        "orders_ever": 9.0,
        "spend_365d": 500.0,
        "usual_gap_days": 14.0,
        "last_gap_days": 14.0,
    }
    new = {"days_since_first_order": 9.0, "tenure_days": 9.0, "orders_ever": 1.0}
    expected = {
        "welcome": {"tenure_days": 3.0},
        "complete_profile": {"tenure_days": 40.0},
        "tips_to_use": {
            **new,
            "tenure_days": 20.0,
            "days_since_last_order": 9.0,
            "spend_365d": 90.0,
        },
        "order_followup_help": {
            **new,
            "days_since_last_order": 9.0,
            "days_since_order_shipped": 7.0,
            "days_since_order_delivered": 5.0,
        },
        "cross_sell": {**buyer, "days_since_last_order": 6.0},
        "help_before_leaving": {**buyer, "days_since_last_order": 40.0},
        "winback_offer": {**buyer, "days_since_last_order": 120.0},
        "cart_reminder": {
            **buyer,
            "days_since_last_order": 20.0,
            "days_since_product_added": 0.5,
        },
        "referral_invitation": {
            **buyer,
            "days_since_last_order": 6.0,
            "nps_last": 10.0,
            "days_since_nps": 9.0,
        },
        "loyalty_points": {**buyer, "days_since_last_order": 6.0, "points_balance": 250.0},
        "renewal_value_reminder": {
            **buyer,
            "days_since_last_order": 6.0,
            "days_since_subscription_started": 340.0,
            "subscription_days_left": 20.0,
        },
        "ticket_apology": {**buyer, "days_since_last_order": 6.0, "tickets_open": 1.0},
        "review_request": {
            **buyer,
            "spend_365d": 10.0,
            "days_since_last_order": 14.0,
            "days_since_order_shipped": 12.0,
            "days_since_order_delivered": 10.0,
        },
    }
    for communication, features in expected.items():
        decision = decide(customer_with(who, **features), engine, NOBODY, 0.5)
        assert decision.chosen.communication == communication
    visitor = next(
        f"anon:{n}" for n in range(99) if decide_arm(engine, f"anon:{n}", regular) == "policy"
    )
    decision = decide(customer_with(visitor), engine, NOBODY, 0.5)
    assert decision.chosen.communication == "useful_content_visitor"


def decide_arm(engine: Engine, customer_id: str, customer: Customer) -> str:
    return decide(replace(customer, customer_id=customer_id), engine, NOBODY, 0.0).arm


# ---- who is left alone ----------------------------------------------------------------------


def test_holdout_never_gets_marketing_but_gets_what_is_owed(
    regular: Customer,
    customer_with: CustomerMaker,
    rule_engine: Engine,
    renamed: Renamer,
    id_in_arm: Callable[[str], str],
) -> None:
    held_out = renamed(regular, id_in_arm("holdout"))
    for uniform in np.random.default_rng(3).random(200):
        decision = decide(held_out, rule_engine, NOBODY, float(uniform))
        assert (decision.arm, decision.chosen.communication) == ("holdout", "no_contact")
        assert decision.selection_probability == 1.0
        assert len(decision.ranked) > 1
    complaint = customer_with(id_in_arm("holdout"), orders_ever=3.0, tickets_open=1.0)
    decision = decide(complaint, rule_engine, NOBODY, 0.9)
    assert decision.chosen.communication == "ticket_apology"
    assert (decision.chosen.message_class, decision.consent.basis) == ("service", "none")


def test_objector_is_not_scored_and_hears_no_marketing(
    regular: Customer, rule_engine: Engine
) -> None:
    consents = {("email", "marketing"): Consent(True, "recorded", "form 3")}
    ledger = Ledger(consents=consents, objected=True)
    rule_of_service = {"ticket_apology": "flag_required", "order_followup_help": "stage"}
    for uniform in (0.0, 0.5, 0.99):
        decision = decide(regular, rule_engine, ledger, uniform)
        assert decision.chosen.communication == "no_contact"
        assert dict(decision.expectation.scores) == {}
        assert decision.expectation.reasons == ()
        assert decision.expectation.usual_margin == 0.0
        assert decision.flags == ("objector",)
        rules = {refusal.communication: refusal.rule for refusal in decision.refusals}
        for name, entry in rule_engine.catalog.communications.items():
            assert (rules[name] == "objection") == (entry.message_class == "marketing")
        assert rule_of_service.items() <= rules.items()


def test_objector_with_a_complaint_is_answered(
    customer_with: CustomerMaker, rule_engine: Engine
) -> None:
    customer = customer_with(orders_ever=3.0, tickets_open=1.0, spend_365d=9000.0)
    decision = decide(customer, rule_engine, Ledger(consents={}, objected=True), 0.5)
    assert decision.chosen.communication == "ticket_apology"
    assert decision.flags == ("complaint_open", "objector")
    assert dict(decision.expectation.scores) == {}


def test_pause_takes_effect_at_the_next_call(regular: Customer, rule_engine: Engine) -> None:
    proposal = propose(regular, rule_engine)
    open_ = settle(proposal, rule_engine, NOBODY, 0.0)
    ledger = Ledger(consents={}, pauses=(Pause(1, "fire", 0),))
    paused = settle(proposal, rule_engine, ledger, 0.0)
    assert len(open_.ranked) > 1
    assert [each.communication for each in paused.ranked] == ["no_contact"]
    listed = rule_engine.catalog.communications
    assert {refusal.communication for refusal in paused.refusals} == set(listed)
    held_back = {r.communication for r in paused.refusals if r.rule == "paused"}
    assert held_back == {
        name
        for name, entry in listed.items()
        if entry.message_class not in ("transactional", "crisis")
    }


def test_a_refusal_names_what_suits_and_what_may_be_sent_in_one(
    regular: Customer, rule_engine: Engine
) -> None:
    """Whoever made the named change to the customer alone would be refused again, by a cap."""
    listed = rule_engine.catalog.communications
    full = tuple(Contact(regular.as_of - DAY, "email") for _ in range(2))
    proposal = propose(regular, rule_engine)
    cap = "fewer than 2 contacts (channel any, class marketing) in 7 days, now 2"
    decision = settle(proposal, rule_engine, Ledger(consents={}, contacts=full), 0.5)
    for refusal in decision.refusals:
        marketing = listed[refusal.communication].message_class == "marketing"
        assert marketing == (cap in refusal.change)
        before = proposal.unsuited.get(refusal.communication, ())
        if marketing and before:
            assert refusal.rule == before[0].rule
            assert all(obstacle.change in refusal.change for obstacle in before)
    assert {refusal.rule for refusal in decision.refusals} > {"stage", "cap"}


def test_visitor_gets_no_score(customer_with: CustomerMaker, rule_engine: Engine) -> None:
    visitor = customer_with("anon:v-1", days_since_last_visit=0.1, pages_7d=9.0)
    decision = decide(visitor, rule_engine, NOBODY, 0.5)
    assert (decision.stage, dict(decision.expectation.scores)) == ("visitor", {})
    assert {each.communication for each in decision.ranked} == {
        "useful_content_visitor",
        "no_contact",
    }


def test_caps_hold_across_calls(
    regular: Customer, rule_engine: Engine, renamed: Renamer, id_in_arm: Callable[[str], str]
) -> None:
    customer = renamed(regular, id_in_arm("policy"))
    contacts: tuple[Contact, ...] = ()
    for _ in range(6):
        decision = decide(customer, rule_engine, Ledger(consents={}, contacts=contacts), 0.3)
        chosen = decision.chosen
        if chosen.communication != "no_contact":
            name = chosen.communication
            contacts += (Contact(customer.as_of, chosen.channel, chosen.message_class, name),)
    assert len(contacts) == 2
    assert len({contact.communication for contact in contacts}) == 2
    assert decision.reconsider_at == customer.as_of + 7 * DAY
    refusals = {refusal.communication: refusal.change for refusal in decision.refusals}
    assert "repetition" in {refusal.rule for refusal in decision.refusals}
    cap = "fewer than 2 contacts (channel any, class marketing) in 7 days, now 2"
    assert all(cap in refusals[name] for name in ("newsletter", "cross_sell"))


# ---- chance -------------------------------------------------------------------------------


@pytest.mark.parametrize(("arm", "replays"), [("policy", 20_000), ("uniform", 4_000)])
def test_replayed_decisions_match_their_probabilities(
    regular: Customer,
    rule_engine: Engine,
    renamed: Renamer,
    id_in_arm: Callable[[str], str],
    arm: str,
    replays: int,
) -> None:
    engine = replace(rule_engine, policy=replace(rule_engine.policy, epsilon=0.5))
    proposal = propose(renamed(regular, id_in_arm(arm)), engine)
    draws = np.random.default_rng(11).random(replays)
    decisions = [settle(proposal, engine, NOBODY, float(u)) for u in draws]
    probabilities = decisions[0].probabilities
    counted = Counter(decision.chosen.communication for decision in decisions)
    names = sorted(name for name, probability in probabilities.items() if probability > 0)
    assert len(names) > 2
    assert set(counted) <= set(names)
    expected = [len(draws) * probabilities[name] for name in names]
    assert chisquare([counted[name] for name in names], expected).pvalue > 0.001


# ---- what may be known -----------------------------------------------------------------------


def test_what_comes_later_changes_nothing(rule_engine: Engine, noon: int) -> None:
    seen = [("Order Completed", noon - d * DAY, noon - d * DAY) for d in (90, 60, 33, 9)]
    seen += [("Email Sent", noon - 2 * DAY, noon - 2 * DAY)]
    before = _decided(signals_of(*seen), rule_engine, noon)
    assert before.expectation.scores["churn_risk"].value is not None
    later = st.tuples(
        st.sampled_from(sorted(KNOWN_EVENTS)),
        st.integers(0, 30 * DAY).map(lambda ahead: noon + ahead),
        st.integers(-30 * DAY, 30 * DAY).map(lambda ahead: noon + ahead),
    )
    late = st.tuples(
        st.sampled_from(sorted(KNOWN_EVENTS)),
        st.integers(-30 * DAY, -1).map(lambda ahead: noon + ahead),
        st.integers(0, 30 * DAY).map(lambda ahead: noon + ahead),
    )

    @settings(max_examples=50, deadline=None)
    @given(st.lists(later | late, max_size=6))
    def holds(unknown: list[tuple[str, int, int]]) -> None:
        assert repr(_decided(signals_of(*seen, *unknown), rule_engine, noon)) == repr(before)

    holds()


def _decided(signals: SignalColumns, engine: Engine, as_of: int) -> Decision:
    customer = customer_at("C-7", signals, as_of, engine)
    contacts = contacts_in_signals(signals, as_of, engine.memory_days)
    return decide(customer, engine, Ledger(consents={}, contacts=contacts), 0.42)


def test_customer_is_seen_with_features_and_stage(rule_engine: Engine, noon: int) -> None:
    customer = customer_at("C-7", orders(90, 60, 33, 9, noon=noon), noon, rule_engine)
    assert customer.features["orders_ever"] == 4
    assert customer.features["days_since_last_order"] == 9
    assert (customer.stage, customer.anonymous) == ("active", False)
    assert tuple(customer.features) == rule_engine.features.names
    assert customer_at("anon:x", EMPTY, noon, rule_engine).stage == "visitor"
    assert customer_at("C-8", EMPTY, noon, rule_engine).stage == "prospect"
    silent = customer_at("C-7", orders(150, 120, 80, noon=noon), noon, rule_engine)
    assert silent.stage == "lapsed"


def test_contacts_are_found_in_signals(noon: int) -> None:
    signals = signals_of(
        ("Email Sent", noon - 7 * DAY, noon - 7 * DAY),  # just too old
        ("Communication Sent/sms", noon - 6 * DAY, noon - 6 * DAY),
        ("Email Opened", noon - 5 * DAY, noon - 5 * DAY),  # not a contact
        ("Email Sent", noon - DAY, noon),  # not known yet
        ("Call Made", noon - 1, noon - 1),
        ("Email Sent", noon, noon),  # not before as_of
    )
    found = contacts_in_signals(signals, noon, 7)
    assert found == (Contact(noon - 6 * DAY, "sms"), Contact(noon - 1, "call"))
    assert contacts_in_signals(EMPTY, noon, 7) == ()


@pytest.mark.parametrize(("event", "channel"), sorted(CONTACT_EVENTS.items()))
def test_every_contact_event_counts(noon: int, event: str, channel: str) -> None:
    at = noon - DAY
    assert contacts_in_signals(signals_of((event, at, at)), noon, 7) == (Contact(at, channel),)


def test_scores_are_the_bundle_s_own(regular: Customer, rule_engine: Engine) -> None:
    told = expectation_of(regular, rule_engine)
    assert told.value("churn_risk") == pytest.approx(1 / (1 + np.exp(2.5)))
    assert told.value("expected_margin") == pytest.approx(28 * (126 + 15) / 230)


# ---- when we cannot decide -------------------------------------------------------------------


def test_without_a_bundle_the_answer_is_a_fallback(regular: Customer, rule_engine: Engine) -> None:
    untrained = replace(rule_engine, bundle=None)
    decision = decide(regular, untrained, NOBODY, 0.5)
    assert (decision.fallback, decision.chosen.communication) == (True, "no_contact")
    assert decision.note == "no model has been trained yet; run `nextbest train`"
    assert (decision.stage, decision.versions.bundle) == ("active", "")
    assert decision.selection_probability == 1.0
    assert customer_at("C-1", EMPTY, regular.as_of, untrained).stage == "prospect"


def test_fallback_needs_nothing_but_a_name(rule_engine: Engine, noon: int) -> None:
    decision = fallback("C-404", noon, rule_engine, "this customer is not known here")
    assert (decision.stage, decision.note) == ("prospect", "this customer is not known here")
    assert decision.versions == rule_engine.versions
    assert (decision.probabilities, decision.refusals) == ({"no_contact": 1.0}, ())
    assert noon < decision.valid_until <= decision.reconsider_at
    none = Versions("", "", "", "")
    assert fallback("anon:1", noon, none, "broken").versions == none
    assert fallback("anon:1", noon, none, "broken").stage == "visitor"


# ---- the engine -------------------------------------------------------------------------------


def test_engine_takes_the_stage_windows_from_the_bundle(rule_engine: Engine) -> None:
    assert rule_engine.stage_windows.at_risk_days == 56
    assert rule_engine.memory_days == 180  # the longest window of a communication
    assert rule_engine.versions.fingerprint == rule_engine.features.fingerprint
