from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from features.signals import DAY
from models.expectation import Expectation, Score
from serving.catalog import Catalog, Condition
from serving.eligibility import eligible, why_unsuited
from serving.engine import Engine
from serving.records import Customer, Refusal
from serving.refusals import Obstacle, refusal_of

CustomerMaker = Callable[..., Customer]


def expectation(churn: float | None = 0.3, note: str = "") -> Expectation:
    scores = {
        "churn_risk": Score("churn_risk", churn, 28, 0.2, "recency", note),
        "repurchase_likelihood": Score("repurchase_likelihood", 0.6, 7, 0.5, "recency"),
        "expected_margin": Score("expected_margin", 9.0, 28, 14.0, "base_rate"),
    }
    return Expectation(scores, usual_margin=10.0)


def refusals_of(
    customer: Customer, engine: Engine, flags: tuple[str, ...] = (), told: Expectation | None = None
) -> dict[str, Refusal]:
    told = told or expectation()
    _, unsuited = eligible(customer, flags, told, engine.catalog)
    found = {}
    for name, decisive in unsuited.items():
        everything = why_unsuited(name, customer, flags, told, engine.catalog)
        found[name] = made(name, everything)
        shortened = made(name, decisive)
        assert (shortened.rule, shortened.until) == (found[name].rule, found[name].until)
    return found


def made(name: str, obstacles: tuple[Obstacle, ...]) -> Refusal:
    refusal = refusal_of(name, obstacles)
    assert refusal is not None
    return refusal


def test_active_customer_gets_what_suits_the_stage(regular: Customer, rule_engine: Engine) -> None:
    suited, refused = eligible(regular, (), expectation(), rule_engine.catalog)
    assert {entry.name for entry in suited} == {
        "newsletter",
        "cross_sell",
        "loyalty_enrolment",
    }
    assert len(suited) + len(refused) == len(rule_engine.catalog.communications)


@pytest.mark.parametrize(
    ("communication", "flags", "rule", "change"),
    [
        ("content_for_lapsed", (), "stage", "stage is lapsed, not active"),
        (
            "cart_reminder",
            (),
            "flag_required",
            "flag cart_open is up and Product Added or Checkout Started happens",
        ),
        ("ticket_apology", (), "flag_required", "flag complaint_open or detractor is up"),
        ("newsletter", ("complaint_open",), "flag_blocks", "flag complaint_open is down"),
        (
            "cross_sell",
            ("complaint_open", "detractor"),
            "flag_blocks",
            "flag complaint_open is down and flag detractor is down",
        ),
        ("loyalty_points", (), "where", "points_balance >= 100 (now 0)"),
        (
            "review_request",
            (),
            "trigger",
            "Order Delivered happens",
        ),
        (
            "welcome",
            (),
            "stage",
            "stage is prospect or onboarding, not active and tenure_days <= 14 (now 200)",
        ),
    ],
)
def test_refusal_names_the_rule_and_every_change_it_waits_for(
    regular: Customer,
    rule_engine: Engine,
    communication: str,
    flags: tuple[str, ...],
    rule: str,
    change: str,
) -> None:
    found = refusals_of(regular, rule_engine, flags)[communication]
    assert found == Refusal(communication, rule, change)


def test_a_score_may_stand_in_a_condition(regular: Customer, rule_engine: Engine) -> None:
    found = refusals_of(regular, rule_engine, told=expectation(churn=0.7))["cross_sell"]
    assert found == Refusal("cross_sell", "where", "churn_risk <= 0.5 (now 0.7)")


def test_a_score_may_be_held_against_everybodys_and_a_stage_spared_it(
    regular: Customer, rule_engine: Engine
) -> None:
    """Of everybody two in ten leave, odds of a quarter: twice that is a third, three in nine."""
    name, catalog = "help_before_leaving", rule_engine.catalog
    found = refusals_of(regular, rule_engine, told=expectation(churn=0.3))[name]
    words = "churn_risk_odds_ratio >= 2 unless lapsing (now 1.71429)"
    assert found == Refusal(name, "where", words)
    for customer, churn in ((regular, 0.34), (replace(regular, stage="lapsing"), 0.01)):
        suited, _ = eligible(customer, (), expectation(churn=churn), catalog)
        assert name in {entry.name for entry in suited}
    certain = expectation(churn=1.0)
    assert certain.odds_ratio("churn_risk") == inf
    assert certain.odds_ratio("expected_nothing") is None
    nobody = replace(certain.scores["churn_risk"], base_rate=0.0)
    unheard_of = replace(certain, scores={"churn_risk": nobody})
    assert unheard_of.odds_ratio("churn_risk") is None


def test_a_score_that_is_not_known_refuses_and_says_why(
    regular: Customer, rule_engine: Engine
) -> None:
    silent = expectation(churn=None, note="not asked: no order on record")
    lapsing = replace(regular, stage="lapsing")
    found = refusals_of(lapsing, rule_engine, told=silent)["help_before_leaving"]
    change = "churn_risk is known (not asked: no order on record)"
    assert found == Refusal("help_before_leaving", "score_missing", change)

    without_model = Expectation(
        {"expected_margin": expectation().scores["expected_margin"]}, usual_margin=10.0
    )
    found = refusals_of(lapsing, rule_engine, told=without_model)["help_before_leaving"]
    assert found.change == "churn_risk is known (no model gives it)"

    unscored = Expectation(scores={}, usual_margin=0.0)
    found = refusals_of(regular, rule_engine, told=unscored)["newsletter"]
    change = "usual_margin is known (this customer is not scored)"
    assert found == Refusal("newsletter", "score_missing", change)


def test_unreviewed_prior_is_never_eligible(regular: Customer, rule_engine: Engine) -> None:
    for source, change in (
        ("", "its prior in catalog.toml states a source"),
        ("somewhere", "its prior in catalog.toml is marked reviewed = true"),
    ):
        catalog = _with_prior(rule_engine.catalog, "newsletter", source)
        suited, unsuited = eligible(regular, (), expectation(), catalog)
        assert "newsletter" not in {entry.name for entry in suited}
        found = made("newsletter", unsuited["newsletter"])
        assert found == Refusal("newsletter", "not_reviewed", change)


def test_visitor_sees_only_what_is_the_same_for_all(
    customer_with: CustomerMaker, rule_engine: Engine
) -> None:
    visitor = customer_with("anon:v-1", days_since_product_added=1.0)
    unscored = Expectation(scores={}, usual_margin=0.0)
    suited, _ = eligible(visitor, ("cart_open",), unscored, rule_engine.catalog)
    assert [entry.name for entry in suited] == ["useful_content_visitor", "reviews_as_proof"]
    assert not any(entry.personal for entry in suited)
    personal = {e.name for e in rule_engine.catalog.communications.values() if e.personal}
    refused_as_personal = {
        name
        for name, refusal in refusals_of(visitor, rule_engine, ("cart_open",), unscored).items()
        if "the visitor is known by name" in refusal.change
    }
    assert refused_as_personal == personal


def test_nobody_writes_to_somebody_who_ended_it(
    customer_with: CustomerMaker, rule_engine: Engine
) -> None:
    gone = customer_with(relationship_ended=1.0, tickets_open=1.0, orders_ever=3.0)
    suited, _ = eligible(gone, ("complaint_open",), expectation(), rule_engine.catalog)
    assert (gone.stage, suited) == ("ended", ())


def _with_prior(catalog: Catalog, name: str, source: str) -> Catalog:
    entry = catalog.communications[name]
    doubted = replace(entry, prior=replace(entry.prior, source=source, reviewed=False))
    return replace(catalog, communications={**catalog.communications, name: doubted})


@pytest.mark.parametrize(
    ("condition", "now", "waits"),
    [
        (Condition("days_since_last_order", ">=", 15.0), 10.0, 5 * DAY),
        (Condition("days_since_last_order", ">", 15.0), 10.0, 5 * DAY + 1),
        (Condition("tenure_days", ">", 14.0), 14.0, 1),
        (Condition("subscription_days_left", "<=", 45.0), 60.0, 15 * DAY),
        (Condition("subscription_days_left", "<", 45.0), 60.0, 15 * DAY + 1),
        # Time goes the other way, or has nothing to do with it.
        (Condition("days_since_last_order", "<=", 5.0), 10.0, None),
        (Condition("days_since_last_order", "<", 5.0), 5.0, None),
        (Condition("subscription_days_left", ">=", 45.0), 30.0, None),
        (Condition("orders_ever", ">=", 15.0), 14.0, None),
    ],
)
def test_a_number_that_time_moves_says_when_it_is_there(
    regular: Customer, rule_engine: Engine, condition: Condition, now: float, waits: int | None
) -> None:
    """To the microsecond: just then the condition holds, and a microsecond before it does not."""
    entry = replace(rule_engine.catalog.communications["newsletter"], where=(condition,))
    engine = replace(
        rule_engine, catalog=replace(rule_engine.catalog, communications={entry.name: entry})
    )

    def seen_after(time: int) -> Customer:
        moved = -time if condition.feature == "subscription_days_left" else time
        features = {**regular.features, condition.feature: now + moved / DAY}
        return replace(regular, as_of=regular.as_of + time, features=features)

    refusal = refusals_of(seen_after(0), engine)["newsletter"]
    assert refusal.rule == "where"
    if waits is None:
        assert refusal.until is None
        return
    assert refusal.until == regular.as_of + waits
    assert refusals_of(seen_after(waits), engine) == {}
    if waits > 1:
        assert "newsletter" in refusals_of(seen_after(waits - 1), engine)


def test_lateness_grows_by_a_usual_gap(regular: Customer, rule_engine: Engine) -> None:
    """Orders come every 20 days and .8 of that have passed: .9 is reached in two days."""
    features = {**regular.features, "lateness": 0.8, "usual_gap_days": 20.0}
    entry = replace(
        rule_engine.catalog.communications["newsletter"],
        where=(Condition("lateness", ">=", 0.9),),
    )
    engine = replace(
        rule_engine, catalog=replace(rule_engine.catalog, communications={entry.name: entry})
    )
    until = refusals_of(replace(regular, features=features), engine)["newsletter"].until
    assert until is not None
    assert abs(until - (regular.as_of + 2 * DAY)) <= 1
    unknown = replace(regular, features={**features, "usual_gap_days": float("nan")})
    assert refusals_of(unknown, engine)["newsletter"].until is None
