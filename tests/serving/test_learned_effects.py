"""Effects that were learned: the same numbers from learning through the file to the answer."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from features.definitions import FEATURES
from features.home import Home
from features.signals import DAY
from features.stage import STAGES
from models.bundle import Bundle, with_golden_rows
from models.bundle_files import load_bundle, write_bundle
from models.effects import STATE, EffectModels
from serving.calls.api import create_app
from serving.champion import company_engine
from serving.decision import customer_at, decide
from serving.engine import Engine
from serving.explanation import Lead, lead_of
from serving.records import NO_CONTACT, Contact, Customer, Decision, Ledger
from serving.settings import Settings
from serving.storage.store import Store
from training.decision_log import LoggedDecisions, experiment_log
from training.effects import learn_effects

WHO = "C-lapsing"
# Decisions in which each stood in the lottery, and what it then brought, as a share of an order.
# The second and the third suit the customer; the one has enough evidence to be "measured".
EVIDENCE = {"cross_sell": 400, "help_before_leaving": 6_000, "newsletter": 400}
BRINGS = {"cross_sell": 0.01, "help_before_leaving": 0.03, "newsletter": 0.06}


def drawn_by_lot(seed: int) -> LoggedDecisions:
    """A log of decisions; one message stood in all lotteries, two in the first few alone."""
    rng = np.random.default_rng(seed)
    names = (NO_CONTACT, *EVIDENCE)
    n = max(EVIDENCE.values())
    place = {name: where for where, name in enumerate(STATE)}
    state = np.zeros((n, len(STATE)))
    state[:, place["order_value"]] = value = rng.lognormal(3.0, 0.5, n)
    state[:, place["usual_margin"]] = 0.3 * value
    state[:, place["churn_risk"]] = risk = rng.uniform(0.1, 0.6, n)
    stood = np.array([[row < EVIDENCE.get(name, n) for name in names] for row in range(n)])
    probabilities = stood / stood.sum(axis=1, keepdims=True)
    chosen = np.array([rng.choice(len(names), p=row) for row in probabilities])
    brings = np.array([BRINGS.get(name, 0.0) for name in names])[chosen]
    stage = rng.choice([STAGES.index("active"), STAGES.index("lapsing")], n)
    reward = 0.05 * value * (1.0 + rng.normal(size=n)) + value * brings * (0.5 + 2.0 * risk)
    return replace(
        experiment_log(names, chosen, probabilities, reward),
        stage=stage,
        state=state,
        prior=np.outer(value, [0.0, 0.01, 0.02, 0.01]),
    )


@pytest.fixture(scope="module")
def learned() -> EffectModels:
    log = drawn_by_lot(3)
    found = learn_effects(log, np.full(len(log), np.nan), np.random.default_rng(1))
    assert found.models is not None
    return found.models


@pytest.fixture
def bundle(home: Home, learned: EffectModels) -> Bundle:
    """The bundle in service with learned effects, as training leaves it before it is written."""
    with Store.open(home.store) as store:
        served = load_bundle(home.bundles / str(store.champion()), FEATURES)
    rows = np.zeros((1, len(FEATURES.names)))
    return with_golden_rows(replace(served, effects=learned), rows)


def decided(engine: Engine, customer: Customer, z: float) -> tuple[Decision, Lead]:
    """What is decided of a customer who heard from us twice, and why."""
    earlier = (
        Contact(customer.as_of - 9 * DAY, "email"),
        Contact(customer.as_of - 100 * DAY, "email", "marketing", "newsletter"),
    )
    policy = replace(
        engine.policy,
        z=z,
        weights={"newsletter": 1.3, "help_before_leaving": 0.7},
        assumed_consents=frozenset({("email", "marketing")}),
    )
    asked = replace(engine, policy=policy)
    decision = decide(customer, asked, Ledger(consents={}, contacts=earlier), 0.5)
    lead = lead_of(decision, customer, asked)
    assert lead is not None
    return decision, lead


def engines_of(home: Home, bundle: Bundle) -> tuple[Engine, Engine]:
    """With the bundle as it was learned, and as it is read from its folder, where it now serves."""
    sha = write_bundle(bundle, home.bundles)
    with Store.open(home.store) as store:
        store.set_champion(sha)
    company = company_engine(home)
    read = load_bundle(home.bundles / sha, FEATURES)
    return replace(company, bundle=replace(bundle, sha256=sha)), replace(company, bundle=read)


def customer_of(home: Home, engine: Engine) -> Customer:
    with Store.open(home.store) as store:
        signals, as_of = store.customer_signals(WHO), store.data_end()
    assert signals is not None
    assert as_of is not None
    return customer_at(WHO, signals, as_of, engine)


def require_sums(lead: Lead) -> None:
    for worth in (lead.first, lead.second):
        of_terms = sum(money for _, money in worth.terms)
        assert of_terms == pytest.approx(worth.candidate.expected_net, abs=1e-9)
    by_group = lead.start + sum(money for source in lead.sources for _, money in source.groups)
    assert by_group == pytest.approx(lead.money, abs=1e-9)


def test_learned_effects_say_the_same_after_they_were_written_and_read(
    home: Home, bundle: Bundle
) -> None:
    learned, read = engines_of(home, bundle)
    assert read.bundle == learned.bundle
    customer = customer_of(home, learned)
    bases, firsts = set(), set()
    for z in (0.0, 1.0, 5.0):
        (before, lead_before), (after, lead_after) = (
            decided(engine, customer, z) for engine in (learned, read)
        )
        assert after.ranked == before.ranked
        assert after.probabilities == before.probabilities
        assert lead_after == lead_before
        require_sums(lead_after)
        measured = {one.communication: one.evidence for one in after.ranked if one.evidence}
        assert measured.items() <= EVIDENCE.items()
        bases |= {one.effect_basis for one in after.ranked}
        firsts.add(after.ranked[0].communication)
    assert bases == {"assumed", "mixed", "measured"}
    assert firsts - {NO_CONTACT}


def test_the_service_answers_with_learned_effects_to_the_last_digit(
    home: Home, bundle: Bundle
) -> None:
    engine, _ = engines_of(home, bundle)
    with Store.open(home.store) as store:
        customer = customer_of(home, engine)
        decision = decide(customer, engine, store.ledger(WHO, customer.as_of), 0.5)
    lead = lead_of(decision, customer, engine)
    assert lead is not None
    answered = explanation_by(home)["lead"]
    for told, worth in ((answered["first"], lead.first), (answered["second"], lead.second)):
        assert told["communication"] == worth.candidate.communication
        assert told["expected_net"] == pytest.approx(worth.candidate.expected_net, abs=1e-9)
        money = [term["money"] for term in told["terms"]]
        assert money == pytest.approx([each for _, each in worth.terms], abs=1e-9)
        assert sum(money) == pytest.approx(told["expected_net"], abs=1e-9)
    of_groups = [group["money"] for source in answered["sources"] for group in source["groups"]]
    assert answered["start"] + sum(of_groups) == pytest.approx(answered["money"], abs=1e-9)
    assert {term.kind for worth in (lead.first, lead.second) for term, _ in worth.terms} >= {
        "stated",
        "measured",
        "cost",
    }


def explanation_by(home: Home) -> dict[str, Any]:
    """What the service says of the customer over HTTP."""
    app = create_app(Settings(home.path), rng=np.random.default_rng(7))
    key = app.state.service.store.new_key("test")

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Authorization": f"Bearer {key}"}
            return await client.get(f"/v1/customers/{WHO}/explanation", headers=headers)

    try:
        response = asyncio.run(answer())
    finally:
        app.state.service.store.close()
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found
