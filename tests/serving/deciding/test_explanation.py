"""What makes the first first: parts that sum to the lead, and changes that turn it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.definitions import FEATURES
from features.signals import DAY
from models.effects import NOTHING_MEASURED, STATE, TERMS, EffectModels, state_of
from models.expectation import PROBABILITIES, Expectation
from models.messages import load_languages
from models.reason_texts import load_reason_texts
from serving.arbitration import ranked
from serving.communication import Communication
from serving.decision import decide, fallback
from serving.engine import Engine
from serving.explanation import Lead, lead_of, learning
from serving.flips import Flip
from serving.policy import Responses
from serving.prices import priced
from serving.records import Contact, Customer, Decision, Ledger
from serving.running import LOCALES
from serving.worth import Scene, Term, mean_slopes, scene_of

REASONS = Path(__file__).parents[3] / "serving" / "reasons.toml"
NAMES = ("cross_sell", "help_before_leaving", "newsletter", "reorder_reminder")


@pytest.fixture(scope="session")
def told_engine(rule_engine: Engine) -> Engine:
    return replace(rule_engine, texts=load_reason_texts(REASONS, FEATURES))


def measured_by(engine: Engine, seed: int) -> Engine:
    """The engine with effects, weights and caution that nobody would choose."""
    rng = np.random.default_rng(seed)
    k, d = len(NAMES), len(TERMS)
    root = rng.normal(size=(k * d, k * d)) * rng.choice([0.0, 1e-4, 1e-3])
    effects = EffectModels(
        names=NAMES,
        state=STATE,
        terms=TERMS,
        coefficients=rng.normal(size=(k, d)) * 0.02,
        covariance=root @ root.T,
        evidence=rng.integers(1, 2000, k),
        means={},
        mean=rng.normal(size=(k, 2)) * [0.5, 0.02],
        stated_scale=float(rng.uniform(0.2, 1.5)),
    )
    weights = {name: float(rng.uniform(0.2, 3.0)) for name in NAMES[:2]}
    bundle = engine.bundle
    assert bundle is not None
    policy = replace(
        engine.policy,
        weights=weights,
        z=float(rng.choice([0.0, 1.64])),
        responses=Responses({"email": 0.2}, 10.0),
    )
    return replace(engine, bundle=replace(bundle, effects=effects), policy=policy)


def decided(customer: Customer, engine: Engine, contacts: tuple[Contact, ...] = ()) -> Decision:
    return decide(customer, engine, Ledger(consents={}, contacts=contacts), 0.5)


def explained(customer: Customer, engine: Engine) -> tuple[Lead, Scene, Decision]:
    # Both have a price, one of them as a repetition too, and no cap is full.
    ago = customer.as_of - 9 * DAY
    earlier = (
        Contact(ago, "email", answered=True),
        Contact(ago, "email", "marketing", "newsletter", answered=True),
    )
    decision = decided(customer, engine, earlier)
    lead = lead_of(decision, customer, engine)
    assert lead is not None
    return lead, scene_of(decision, customer, engine, engine.bundle), decision


def require_sums(lead: Lead) -> None:
    for worth in (lead.first, lead.second):
        of_terms = sum(money for _, money in worth.terms)
        assert of_terms == pytest.approx(worth.candidate.expected_net, abs=1e-9)
    assert lead.first.candidate.expected_net - lead.second.candidate.expected_net == lead.money
    by_input = lead.start + sum(source.money for source in lead.sources)
    assert by_input == pytest.approx(lead.money, abs=1e-9)
    by_group = lead.start + sum(money for source in lead.sources for _, money in source.groups)
    assert by_group == pytest.approx(lead.money, abs=1e-9)


def suits(entry: Communication, customer: Customer, told: Expectation) -> bool:
    """Whether the numbers that its entry asks of scores are there."""
    here = {name: told.value(name) for name in told.scores}
    here |= {f"{name}_odds_ratio": told.odds_ratio(name) for name in PROBABILITIES}
    return all(
        customer.stage in each.unless or each.holds(here[each.feature])
        for each in entry.where
        if each.feature in here
    )


def order_after(flip: Flip, value: float, scene: Scene) -> list[str]:
    """The order where one thing is different, from the ranking itself."""
    told, policy, entries = scene.expectation, scene.policy, scene.entries
    entry = next((each for each in entries if each.name == flip.of), entries[0])
    if flip.what in told.scores:
        score = replace(told.scores[flip.what], value=value)
        told = replace(told, scores={**told.scores, flip.what: score})
    elif flip.what == "usual_margin":
        told = replace(told, usual_margin=value)
    elif flip.what == "weight":
        policy = replace(policy, weights={**policy.weights, entry.name: value})
    elif flip.what == "cost":
        entry = replace(entry, cost=value)
    else:  # an effect that differs by what opting out costs
        assert flip.what == "effect"
        place = scene.measured.places.get(entry.name)
        say = 1.0
        if place is not None:
            say = scene.measured.stated_scale
        _, _, response = scene.worn.of(entry)
        less = (flip.now - value) / (say * response * policy.opt_out_cost)
        entry = replace(entry, prior=replace(entry.prior, opt_out=entry.prior.opt_out + less))
    entries = tuple(entry if each.name == entry.name else each for each in entries)
    entries = tuple(each for each in entries if suits(each, scene.customer, told))
    customer, measured = scene.customer, NOTHING_MEASURED
    if scene.effects is not None:
        state = state_of(told, customer.features, customer.stage)
        measured = scene.effects.on(state, customer.stage)
    found = ranked(priced(entries, scene.prices), told, scene.worn, policy, measured)
    return [one.communication for one in found]


def test_parts_sum_to_the_lead_and_named_changes_turn_it(
    regular: Customer, told_engine: Engine
) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=80)
    @given(seed=st.integers(0, 10**6), gap=st.floats(2.5, 50.0), spend=st.floats(0.0, 3000.0))
    def holds(seed: int, gap: float, spend: float) -> None:
        features = dict(regular.features) | {
            "days_since_last_order": gap,
            "spend_365d": spend,
            "average_order_value_365d": spend / 14,
            "email_open_rate_90d": 0.4,
        }
        engine = measured_by(told_engine, seed) if seed % 4 else told_engine
        lead, scene, _ = explained(replace(regular, features=features), engine)
        first = lead.first.candidate.communication
        require_sums(lead)
        assert [flip.size for flip in lead.flips] == sorted(flip.size for flip in lead.flips)
        for flip in lead.flips:
            seen[flip.what] += 1
            assert flip.instead != first
            assert order_after(flip, flip.value, scene)[0] == flip.instead
            back = 1e-6 * max(1.0, abs(flip.boundary)) * (1 if flip.now > flip.boundary else -1)
            if abs(flip.now - flip.boundary) > abs(back):
                assert order_after(flip, flip.boundary + back, scene)[0] == first, (
                    flip,
                    scene.order()[:2],
                )

    holds()
    assert set(seen) >= {
        "churn_risk",
        "expected_margin",
        "usual_margin",
        "cost",
        "weight",
        "effect",
    }


@pytest.fixture(scope="session")
def one_message(told_engine: Engine) -> Engine:
    """Only one message, a share of churn risk times usual margin, against silence."""
    listed = told_engine.catalog.communications
    one = {"help_before_leaving": listed["help_before_leaving"]}
    return replace(told_engine, catalog=replace(told_engine.catalog, communications=one))


@pytest.fixture(scope="session")
def leaving(regular: Customer) -> Customer:
    """Silent for some days more than usual."""
    return replace(regular, features=dict(regular.features) | {"days_since_last_order": 35.0})


def test_the_change_is_where_two_lines_cross(leaving: Customer, one_message: Engine) -> None:
    """Against silence, an assumed effect: share * risk * margin - opt-out = cost + fatigue."""
    # Of those whose odds are at least twice everybody's alone: below that it is refused first.
    lead, _, decision = explained(leaving, one_message)
    odds = 2.0 * decision.expectation.scores["churn_risk"].base_rate
    odds /= 1.0 - decision.expectation.scores["churn_risk"].base_rate
    refused = next(flip for flip in lead.flips if flip.what == "churn_risk")
    assert refused.boundary == pytest.approx(odds / (1.0 + odds), abs=1e-9)
    listed = one_message.catalog.communications
    open_to_all = {name: replace(entry, where=()) for name, entry in listed.items()}
    catalog = replace(one_message.catalog, communications=open_to_all)
    one_message = replace(one_message, catalog=catalog)
    lead, scene, decision = explained(leaving, one_message)
    first, second = lead.first.candidate, lead.second.candidate
    by_what = {(flip.what, flip.of): flip for flip in lead.flips}
    prior = {e.name: e.prior for e in scene.entries}[first.communication]
    assert (second.communication, prior.of) == ("no_contact", ("churn_risk", "usual_margin"))
    owed = first.cost + first.fatigue + prior.opt_out * one_message.policy.opt_out_cost
    risk = owed / (prior.share * decision.expectation.usual_margin)
    flip = by_what["churn_risk", ""]
    assert flip.boundary == pytest.approx(risk, abs=1e-9)
    assert 0 < risk - flip.value <= 0.001 + 1e-9
    cost = by_what["cost", first.communication]
    assert cost.boundary == pytest.approx(first.cost + first.expected_net, abs=1e-9)
    effect = by_what["effect", first.communication]
    assert effect.boundary == pytest.approx(first.cost + first.fatigue, abs=1e-9)


def test_a_change_is_said_in_words(leaving: Customer, one_message: Engine) -> None:
    lead, _, _ = explained(leaving, one_message)
    said = {flip.what: flip.text for flip in lead.flips}
    now, value = (
        f"{100 * x:.1f}".removesuffix(".0")
        for flip in lead.flips
        if flip.what == "churn_risk"
        for x in (flip.now, flip.value)
    )
    english = f"silence would be first if the churn risk were {value} % or less, not {now} %"
    assert said["churn_risk"] == english
    german = load_languages([LOCALES])["de"].say(said["churn_risk"])
    assert german == (
        f"Schweigen stünde vorn, wenn das Abwanderungsrisiko höchstens {value} % wäre "
        f"statt {now} %".replace(".", ",")
    )
    title = lead.first.candidate.name
    assert said["cost"].startswith(f"silence would be first if the cost of '{title}' were ")


def test_reasons_of_a_score_carry_its_part(leaving: Customer, one_message: Engine) -> None:
    lead, _, decision = explained(leaving, one_message)
    risk = next(source for source in lead.sources if source.name == "churn_risk")
    points = {r.code: r.points for r in decision.expectation.reasons if r.score == "churn_risk"}
    assert {code for code, _ in risk.groups} == set(points)
    slope = risk.money / (risk.value - risk.start)
    for code, money in risk.groups:
        assert money == pytest.approx(slope * points[code] / 100, abs=1e-9)


def test_slopes_are_the_mean_gradient_of_the_way() -> None:
    """Brute force: the gradient by central differences at 2,000 points of the way."""
    rng = np.random.default_rng(2)
    names = ("a", "b", "c")
    terms = [
        Term("x", 2.0, ("a", "b", "c")),
        Term("x", -3.0, ("b", "b")),
        Term("x", 1.0, ("a",)),
        Term("x", 5.0),
    ]
    start = dict(zip(names, rng.normal(size=3).tolist(), strict=True))
    end = dict(zip(names, rng.normal(size=3).tolist(), strict=True))

    def money(at: dict[str, float]) -> float:
        return sum(term.at(at) for term in terms)

    found, points = mean_slopes(terms, start, end), (np.arange(2000) + 0.5) / 2000
    for name in names:
        total = 0.0
        for t in points:
            at = {one: start[one] + t * (end[one] - start[one]) for one in names}
            up, down = at | {name: at[name] + 1e-4}, at | {name: at[name] - 1e-4}
            total += (money(up) - money(down)) / 2e-4
        assert found[name] == pytest.approx(total / 2000, abs=1e-5)
    whole = sum(found[name] * (end[name] - start[name]) for name in names)
    assert whole == pytest.approx(money(end) - money(start), abs=1e-12)


def test_two_factors_share_as_shapley_has_it() -> None:
    start, end = {"a": 0.2, "b": 10.0}, {"a": 0.7, "b": 16.0}
    found = mean_slopes([Term("x", 0.1, ("a", "b"))], start, end)
    assert found["a"] * 0.5 == pytest.approx(0.1 * 0.5 * (10.0 + 16.0) / 2)
    assert found["b"] * 6.0 == pytest.approx(0.1 * 6.0 * (0.2 + 0.7) / 2)


def test_nothing_to_compare_has_no_lead(regular: Customer, told_engine: Engine) -> None:
    silence = fallback(regular.customer_id, regular.as_of, told_engine, "why")
    assert lead_of(silence, regular, told_engine) is None
    empty = replace(told_engine, catalog=replace(told_engine.catalog, communications={}))
    alone = decided(regular, empty)
    assert [one.communication for one in alone.ranked] == ["no_contact"]
    assert lead_of(alone, regular, empty) is None


def test_an_objector_is_compared_without_scores(
    customer_with: Callable[..., Customer], told_engine: Engine
) -> None:
    """A service message is owed; no score, no feature has a part in it."""
    waiting = customer_with(
        days_since_last_order=10.0, orders_ever=3.0, tickets_open=1.0, days_since_ticket_opened=1.0
    )
    decision = decide(waiting, told_engine, Ledger(consents={}, objected=True), 0.5)
    lead = lead_of(decision, waiting, told_engine)
    assert lead is not None
    assert lead.first.candidate.message_class == "service"
    assert (lead.sources, lead.start) == ((), lead.money)
    assert {flip.what for flip in lead.flips} <= {"cost", "weight", "effect"}


@pytest.mark.parametrize(
    ("arm", "other", "words"),
    [
        ("policy", False, ""),
        ("policy", True, "chosen to learn, with a probability of 2.5 %; by worth it would be {}"),
        ("uniform", False, "chosen to learn, with a probability of 2.5 %; by worth it would be {}"),
        (
            "holdout",
            True,
            "left without marketing by lot, to measure what the whole programme is worth",
        ),
    ],
)
def test_chance_is_said(
    regular: Customer, told_engine: Engine, arm: str, other: bool, words: str
) -> None:
    decision = decided(regular, told_engine)
    best = decision.ranked[0]
    silent = next(one for one in decision.ranked if one.communication == "no_contact")
    chosen = silent if other else best
    by_lot = replace(decision, arm=arm, chosen=chosen, probabilities={chosen.communication: 0.025})
    assert best is not silent
    assert learning(by_lot) == words.format(best.name)
