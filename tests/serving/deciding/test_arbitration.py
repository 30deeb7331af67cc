from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.expectation import Expectation, Score
from serving.arbitration import SILENCE, candidate, comes_first, ranked
from serving.catalog import Communication
from serving.engine import Engine
from serving.fatigue import FRESH, Worn
from serving.policy import Policy
from serving.records import Candidate

TOLD = Expectation(
    {
        "churn_risk": Score("churn_risk", 0.4, 28, 0.2, "recency"),
        "repurchase_likelihood": Score("repurchase_likelihood", 0.5, 7, 0.5, "recency"),
        "expected_margin": Score("expected_margin", 20.0, 28, 14.0, "base_rate"),
    },
    usual_margin=30.0,
)


def entry_of(engine: Engine, name: str) -> Communication:
    return engine.catalog.communications[name]


def with_weight(policy: Policy, name: str, weight: float) -> Policy:
    return replace(policy, weights={name: weight})


def test_worth_is_what_the_formula_says(rule_engine: Engine, shop_policy: Policy) -> None:
    entry = entry_of(rule_engine, "help_before_leaving")
    found = candidate(entry, TOLD, Worn(0.15), with_weight(shop_policy, entry.name, 1.5))
    # share .20 of .4 * 30 = 2.40, less an opt-out of 5.00 in one of 200 mails
    assert found.expected_effect == pytest.approx(2.40 - 0.005 * 5.00)
    assert found.standard_error == pytest.approx(0.20 * 0.4 * 30)
    assert found.expected_net == pytest.approx(1.5 * 2.375 - 0.30 - 0.15)
    assert (found.cost, found.fatigue) == (0.30, 0.15)
    assert (found.effect_basis, found.evidence) == ("assumed", 0)
    assert found.name == "A person asks whether something is missing"


def test_product_of_scores_and_money(rule_engine: Engine, shop_policy: Policy) -> None:
    cross_sell = candidate(entry_of(rule_engine, "cross_sell"), TOLD, FRESH, shop_policy)
    assert cross_sell.expected_effect == pytest.approx(0.06 * 0.5 * 20 - 0.003 * 5)
    welcome = candidate(entry_of(rule_engine, "welcome"), TOLD, FRESH, shop_policy)
    assert welcome.expected_effect == pytest.approx(0.06 * 30 - 0.002 * 5)


def test_service_pays_no_fatigue(rule_engine: Engine, shop_policy: Policy) -> None:
    apology = candidate(entry_of(rule_engine, "ticket_apology"), TOLD, Worn(99.0), shop_policy)
    assert (apology.fatigue, apology.expected_net) == (0.0, 3.0)


def test_a_weight_never_turns_a_loss_into_a_gain(rule_engine: Engine, shop_policy: Policy) -> None:
    newsletter = replace(entry_of(rule_engine, "newsletter"), cost=0.0)

    @given(share=st.floats(-5, 5), weight=st.floats(0.01, 10), margin=st.floats(0, 1e4))
    def holds(share: float, weight: float, margin: float) -> None:
        entry = replace(newsletter, prior=replace(newsletter.prior, share=share))
        told = replace(TOLD, usual_margin=margin)
        plain = candidate(entry, told, FRESH, shop_policy)
        weighed = candidate(entry, told, FRESH, with_weight(shop_policy, "newsletter", weight))
        assert (weighed.expected_net > 0) == (plain.expected_net > 0)
        assert (weighed.expected_net < 0) == (plain.expected_net < 0)
        assert weighed.expected_effect == plain.expected_effect

    holds()


def test_silence_is_a_candidate_worth_nothing(rule_engine: Engine, shop_policy: Policy) -> None:
    assert ranked([], TOLD, FRESH, shop_policy) == (SILENCE,)
    assert (SILENCE.communication, SILENCE.expected_net) == ("no_contact", 0.0)


def test_best_first_and_silence_before_a_loss(rule_engine: Engine, shop_policy: Policy) -> None:
    entries = [entry_of(rule_engine, n) for n in ("newsletter", "help_before_leaving")]
    assert _names(ranked(entries, TOLD, FRESH, shop_policy)) == [
        "help_before_leaving",
        "newsletter",
        "no_contact",
    ]
    tired = ranked(entries, TOLD, Worn(1.0), shop_policy)
    assert _names(tired) == ["help_before_leaving", "no_contact", "newsletter"]
    assert _names(ranked(entries, TOLD, Worn(9.0), shop_policy))[0] == "no_contact"


def test_ties_are_broken_by_name_and_silence_wins_them(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    free = replace(shop_policy, opt_out_cost=0.0)
    newsletter = entry_of(rule_engine, "newsletter")
    twins = [replace(newsletter, name=name) for name in ("zeta", "beta", "alpha")]
    assert _names(ranked(twins, TOLD, FRESH, free)) == ["alpha", "beta", "zeta", "no_contact"]
    idle = replace(newsletter, name="alpha", cost=0.0, prior=replace(newsletter.prior, share=0.0))
    assert _names(ranked([idle], TOLD, FRESH, free)) == ["no_contact", "alpha"]


def test_what_is_owed_comes_first_if_it_is_worth_sending(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    rich = replace(TOLD, usual_margin=1000.0)
    entries = [entry_of(rule_engine, n) for n in ("newsletter", "ticket_apology")]
    first, second, _ = ranked(entries, rich, FRESH, shop_policy)
    assert (first.communication, second.communication) == ("ticket_apology", "newsletter")
    assert first.expected_net < second.expected_net
    assert comes_first(first)
    assert not comes_first(second)
    assert not comes_first(SILENCE)
    dear = replace(entries[1], cost=4.0)
    worthless = ranked([dear], rich, FRESH, shop_policy)
    assert _names(worthless) == ["no_contact", "ticket_apology"]
    assert not comes_first(worthless[1])


def _names(candidates: tuple[Candidate, ...]) -> list[str]:
    return [each.communication for each in candidates]
