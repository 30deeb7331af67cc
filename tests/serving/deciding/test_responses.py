"""Preferred channels by response: what counts as an answer, and what it makes of stated effects."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.machines import marked
from features.signals import ABSENT, DAY, SECOND, SignalColumns, code
from models.expectation import Expectation, Score
from serving.arbitration import candidate
from serving.decision import contacts_in_signals, decide
from serving.desk import each_once
from serving.engine import Engine
from serving.explanation import lead_of
from serving.fatigue import FRESH, Worn
from serving.policy import Policy, Responses
from serving.records import Contact, Customer, Ledger
from serving.responses import ANSWER_DAYS, factors
from serving.worth import scene_of

NOW = 400 * DAY
RESPONSES = Responses({"email": 0.2, "push": 0.1}, 10.0)
TOLD = Expectation(
    {"expected_margin": Score("expected_margin", 20.0, 28, 14.0, "base_rate")}, usual_margin=30.0
)


def signals(*facts: tuple[str, float]) -> SignalColumns:
    """Signals so many days before `NOW`, marked as the store marks them."""
    ordered = sorted(facts, key=lambda fact: -fact[1])
    at = np.array([NOW - round(days * DAY) for _, days in ordered], dtype=np.int64)
    absent = np.full(len(at), ABSENT, dtype=np.int64)
    event = np.array([code(name) for name, _ in ordered], dtype=np.int64)
    return marked(SignalColumns(event, at, at, absent, absent, np.zeros(len(at), dtype=np.int64)))


def sent(channel: str, answered: int, of: int) -> tuple[Contact, ...]:
    """So many contacts on a channel a month and more ago, the first of them answered."""
    days = range(31, 31 + of)
    return tuple(
        Contact(NOW - day * DAY, channel, answered=number < answered)
        for number, day in enumerate(days)
    )


@pytest.mark.parametrize(
    ("contact", "answer", "later", "counts"),
    [
        ("Email Sent", "Email Opened", 1.0, True),
        ("Email Sent", "Email Link Clicked", 2.9, True),
        ("Communication Sent/email", "Email Opened", 3.0, True),
        ("Email Sent", "Email Opened", 3.1, False),  # too late
        ("Email Sent", "Email Opened", -0.1, False),  # before it
        ("Email Sent", "Email Opened", 5 * SECOND / DAY, False),  # a machine: nobody is so quick
        ("Email Sent", "Email Opened/machine", 1.0, False),
        ("Email Sent", "Push Notification Tapped", 1.0, False),  # of another channel
        ("Push Notification Sent", "Push Notification Tapped", 0.01, True),
        ("Communication Sent/chat", "Chat Opened", 1.0, True),
        ("Email Sent", "Order Completed", 1.0, False),  # says nothing of the channel
        ("SMS Sent", "Page Viewed", 0.1, False),
    ],
)
def test_what_answers_a_message(contact: str, answer: str, later: float, counts: bool) -> None:
    found = contacts_in_signals(signals((contact, 10.0), (answer, 10.0 - later)), NOW, 30)
    assert [one.answered for one in found] == [counts]


def test_an_answer_not_yet_known_is_none() -> None:
    known = signals(("Email Sent", 2.0), ("Email Opened", 1.0))
    late = replace(known, received_at=known.received_at + np.array([0, 2 * DAY]))
    assert [one.answered for one in contacts_in_signals(known, NOW, 30)] == [True]
    assert [one.answered for one in contacts_in_signals(late, NOW, 30)] == [False]


def test_the_factor_by_hand() -> None:
    """Mail: (6 + 10 * .2) / (20 + 10) / .2 = 4/3; push: (0 + 10 * .1) / (5 + 10) / .1 = 2/3."""
    contacts = (*sent("email", 6, 20), *sent("push", 0, 5), *sent("sms", 3, 3))
    assert factors(contacts, RESPONSES, NOW) == {
        "email": pytest.approx(4 / 3),
        "push": pytest.approx(2 / 3),
    }
    assert factors(contacts, None, NOW) == {}
    assert factors((), RESPONSES, NOW) == {}


def test_a_message_counts_once_its_time_to_be_answered_is_over() -> None:
    ago = ANSWER_DAYS * DAY
    assert factors([Contact(NOW - ago + 1, "email")], RESPONSES, NOW) == {}
    assert factors([Contact(NOW - ago, "email")], RESPONSES, NOW)["email"] < 1


def test_the_factor_is_bounded() -> None:
    assert factors(sent("email", 300, 300), RESPONSES, NOW) == {"email": 2.0}
    assert factors(sent("email", 0, 300), RESPONSES, NOW) == {"email": 0.5}


def test_the_answer_of_either_copy_of_a_message_counts() -> None:
    """Ours in the log, and the signal of its sending: one contact."""
    ours = Contact(NOW - 9 * DAY, "email", "marketing", "newsletter")
    seen = Contact(NOW - 8 * DAY, "email", answered=True)
    assert each_once((ours,), (seen,)) == (replace(ours, answered=True),)
    assert each_once((replace(ours, answered=True),), (replace(seen, answered=False),)) == (
        replace(ours, answered=True),
    )


def test_only_the_stated_effect_of_marketing_is_multiplied(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    listed = rule_engine.catalog.communications
    liked = Worn(response={"email": 1.5})
    entry = replace(listed["newsletter"], prior=replace(listed["newsletter"].prior, opt_out=0.001))
    plain, more = (candidate(entry, TOLD, worn, shop_policy) for worn in (FRESH, liked))
    assert (plain.response, more.response) == (1.0, 1.5)
    assert more.expected_effect == pytest.approx(1.5 * plain.expected_effect)
    assert more.standard_error == pytest.approx(1.5 * plain.standard_error)
    assert more.expected_net == pytest.approx(
        more.expected_effect * more.weight - more.cost, abs=1e-12
    )
    apology = listed["ticket_apology"]
    assert candidate(apology, TOLD, liked, shop_policy) == candidate(
        apology, TOLD, FRESH, shop_policy
    )


@given(
    answered=st.integers(0, 50),
    more=st.integers(0, 50),
    rate=st.floats(0.001, 1),
    weight=st.floats(1, 1000),
)
def test_no_sign_ever_changes(answered: int, more: int, rate: float, weight: float) -> None:
    contacts = sent("email", answered, answered + more)
    found = factors(contacts, Responses({"email": rate}, weight), NOW)
    assert all(0.5 <= factor <= 2.0 for factor in found.values())


def liking(customer: Customer, channel: str) -> Ledger:
    """Half a year of mails and pushes, of which one channel alone was answered."""
    contacts = tuple(
        Contact(customer.as_of - (60 + day) * DAY, each, answered=each == channel)
        for day in range(30)
        for each in ("email", "push")
    )
    return Ledger({}, contacts=contacts)


@pytest.fixture
def twins(rule_engine: Engine, shop_policy: Policy) -> Engine:
    """The same news by mail and by push, worth the same; and the company's own rates."""
    letter = rule_engine.catalog.communications["newsletter"]
    entries = {
        f"news_by_{channel}": replace(letter, name=f"news_by_{channel}", channel=channel)
        for channel in ("email", "push")
    }
    policy = replace(
        shop_policy,
        epsilon=0.0,
        uniform_share=0.0,
        holdout_share=0.0,
        responses=RESPONSES,
        assumed_consents=frozenset({("email", "marketing"), ("push", "marketing")}),
    )
    catalog = replace(rule_engine.catalog, communications=entries)
    return replace(rule_engine, catalog=catalog, policy=policy)


@pytest.mark.parametrize("channel", ["email", "push"])
def test_of_two_alike_the_channel_that_is_answered_wins(
    regular: Customer, twins: Engine, channel: str
) -> None:
    found = decide(regular, twins, liking(regular, channel), 0.5)
    assert found.chosen.communication == f"news_by_{channel}"
    assert found.chosen.response > 1
    silent = replace(twins, policy=replace(twins.policy, responses=None))
    plain = decide(regular, silent, liking(regular, channel), 0.5)
    assert plain.chosen.communication == "news_by_email"  # the alphabet
    assert plain.chosen.response == 1.0


def test_the_explanation_adds_up_with_the_answers_in_it(regular: Customer, twins: Engine) -> None:
    decision = decide(regular, twins, liking(regular, "push"), 0.5)
    lead = lead_of(decision, regular, twins)
    assert lead is not None
    for worth in (lead.first, lead.second):
        money = sum(amount for _, amount in worth.terms)
        assert money == pytest.approx(worth.candidate.expected_net, abs=1e-9)
    kinds = {term.kind: money for term, money in lead.first.terms}
    first = lead.first.candidate
    assert kinds["response"] != 0
    assert sum(money for term, money in lead.first.terms if term.kind == "response") == (
        pytest.approx(first.expected_effect * first.weight * (1 - 1 / first.response), abs=1e-9)
    )
    by_input = lead.start + sum(source.money for source in lead.sources)
    assert by_input == pytest.approx(lead.money, abs=1e-9)
    scene = scene_of(decision, regular, twins, twins.bundle)
    assert scene.order() == decision.ranked
