"""What past messages cost the next one: recent contacts, and the same communication again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.signals import DAY
from models.expectation import Expectation, Score
from serving.arbitration import candidate, ranked
from serving.decision import decide
from serving.engine import Engine
from serving.fatigue import FRESH, Worn, worn_by
from serving.policy import Fatigue, Policy, memory_days
from serving.records import Contact, Customer, Ledger

NOW = 400 * DAY
TIRING = Fatigue(price=0.10, half_life_days=7.0, novelty_price=0.08, novelty_half_life_days=15.0)
TOLD = Expectation(
    {"expected_margin": Score("expected_margin", 20.0, 28, 14.0, "base_rate")}, usual_margin=30.0
)


def mailed(days_ago: float, communication: str = "") -> Contact:
    return Contact(NOW - round(days_ago * DAY), "email", "marketing", communication)


def test_fatigue_halves_every_half_life() -> None:
    contacts = [mailed(days) for days in (0, 7, 14)]
    assert worn_by(contacts, TIRING, NOW).fatigue == pytest.approx(0.10 * 1.75)
    assert worn_by([], TIRING, NOW) == FRESH
    assert worn_by([mailed(-1)], TIRING, NOW).fatigue == 0.10  # planned: in full


def test_the_same_again_recovers_by_half_every_fifteen_days() -> None:
    """Yancey and Settles (2020): gamma * 2 ** (-days since the same / h), of the last one alone."""
    contacts = [mailed(60, "tips"), mailed(30, "tips"), mailed(15, "news"), mailed(2)]
    found = worn_by(contacts, TIRING, NOW).novelty
    assert found == {"tips": pytest.approx(0.08 / 4), "news": pytest.approx(0.08 / 2)}
    assert worn_by(reversed(contacts), TIRING, NOW).novelty == found
    assert worn_by([mailed(-1, "news")], TIRING, NOW).novelty == {"news": 0.08}
    assert worn_by(contacts, replace(TIRING, novelty_price=0.0), NOW).novelty == {}


def test_only_the_same_marketing_pays_for_it(rule_engine: Engine, shop_policy: Policy) -> None:
    listed = rule_engine.catalog.communications
    worn = Worn(0.05, {"newsletter": 0.08, "ticket_apology": 0.08})
    newsletter = candidate(listed["newsletter"], TOLD, worn, shop_policy)
    fresh = candidate(listed["newsletter"], TOLD, FRESH, shop_policy)
    assert (newsletter.fatigue, newsletter.novelty) == (0.05, 0.08)
    assert newsletter.expected_net == pytest.approx(fresh.expected_net - 0.13, abs=1e-12)
    welcome = candidate(listed["welcome"], TOLD, worn, shop_policy)
    assert (welcome.fatigue, welcome.novelty) == (0.05, 0.0)
    apology = candidate(listed["ticket_apology"], TOLD, worn, shop_policy)
    assert (apology.fatigue, apology.novelty) == (0.0, 0.0)


def test_it_never_turns_a_loss_into_a_gain(rule_engine: Engine, shop_policy: Policy) -> None:
    newsletter = rule_engine.catalog.communications["newsletter"]

    @given(
        share=st.floats(-2, 2),
        days=st.floats(0, 300),
        price=st.floats(0, 5),
        weight=st.floats(0.01, 10),
    )
    def holds(share: float, days: float, price: float, weight: float) -> None:
        entry = replace(newsletter, prior=replace(newsletter.prior, share=share))
        policy = replace(shop_policy, weights={"newsletter": weight})
        worn = worn_by([mailed(days, "newsletter")], replace(TIRING, novelty_price=price), NOW)
        again = candidate(entry, TOLD, worn, policy)
        fresh = candidate(entry, TOLD, Worn(worn.fatigue), policy)
        assert again.expected_net <= fresh.expected_net
        parts = again.expected_effect * weight - again.cost - again.fatigue - again.novelty
        assert again.expected_net == pytest.approx(parts, abs=1e-9)
        first = ranked([entry], TOLD, worn, policy)[0]
        assert first.communication == "no_contact" or fresh.expected_net > 0

    holds()


def test_what_was_not_said_lately_comes_before_its_twin(
    regular: Customer, rule_engine: Engine, shop_policy: Policy
) -> None:
    newsletter = rule_engine.catalog.communications["newsletter"]
    twins = {name: replace(newsletter, name=name) for name in ("a_letter", "b_letter")}
    policy = replace(shop_policy, epsilon=0.0, uniform_share=0.0, holdout_share=0.0)
    catalog = replace(rule_engine.catalog, communications=twins)
    engine = replace(rule_engine, catalog=catalog, policy=policy)
    weeks_ago = Contact(regular.as_of - 20 * DAY, "email", "marketing", "a_letter")

    def heard(contacts: tuple[Contact, ...]) -> str:
        found = decide(regular, engine, Ledger({}, contacts=contacts), 0.5)
        return found.chosen.communication

    assert heard(()) == "a_letter"
    assert heard((weeks_ago,)) == "b_letter"


def test_the_same_again_is_remembered_as_long_as_it_costs(shop_policy: Policy) -> None:
    assert memory_days(shop_policy, 28) == 7 * 15
    free = replace(shop_policy, fatigue=replace(shop_policy.fatigue, novelty_price=0.0))
    assert memory_days(free, 28) == 7 * 7
