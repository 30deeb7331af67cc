"""Features against their declared direction: found where planted, and nowhere else."""

import asyncio
from dataclasses import replace

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr

from features.definitions import FEATURES
from features.home import Home
from models.bundle_files import load_bundle
from models.classifier import Classifier, Logistic
from models.evaluation import (
    AgainstDeclared,
    load_evaluation,
    report_folder,
    save_evaluation,
)
from serving.calls.api import create_app
from serving.settings import Settings
from serving.storage.store import Store
from training.card import write_card
from training.directions import against_declared, rank_correlation

N = len(FEATURES)


def weighing(**weights: float) -> Classifier:
    coefficient = tuple(weights.get(name, 0.0) for name in FEATURES.names)
    zeros, ones = (0.0,) * N, (1.0,) * N
    return Classifier(Logistic(zeros, ones, coefficient, zeros, zeros, -1.0), FEATURES.names)


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float64]:
    rng = np.random.default_rng(2)
    found = rng.gamma(1.0, 3.0, (400, N))
    found[rng.random(found.shape) < 0.2] = np.nan
    return found


def test_a_planted_contradiction_is_found(rows: NDArray[np.float64]) -> None:
    """More orders that raise the risk of churn; fewer gaps and pages as everybody expects."""
    model = weighing(orders_84d=0.5, orders_365d=-1.0, usual_gap_days=0.5, pages_28d=3.0)
    (found,) = against_declared(model, "churn_risk", rows, FEATURES)
    assert (found.feature, found.declared) == ("orders_84d", -1)
    assert found.label == "Orders in the last 84 days"
    assert found.average == pytest.approx(1.0)
    assert 0 < found.share < 0.2


def test_the_weightiest_comes_first(rows: NDArray[np.float64]) -> None:
    model = weighing(orders_84d=0.5, orders_365d=1.0)
    found = against_declared(model, "churn_risk", rows, FEATURES)
    assert [each.feature for each in found] == ["orders_365d", "orders_84d"]


def test_nothing_is_found_where_nothing_is_declared_or_added(rows: NDArray[np.float64]) -> None:
    model = weighing(orders_84d=0.5)
    assert against_declared(model, "promoter_likelihood", rows, FEATURES) == ()
    assert against_declared(weighing(), "churn_risk", rows, FEATURES) == ()
    assert against_declared(model, "churn_risk", rows[:0], FEATURES) == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_the_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=np.float64).T
    if len(set(first)) > 1 and len(set(second)) > 1:
        expected = float(spearmanr(first, second).statistic)
        assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)
    else:
        assert rank_correlation(first, second) == 0.0


def test_it_is_kept_and_shown_on_the_card_and_the_page(trained_copy: tuple[Home, int]) -> None:
    home, _ = trained_copy
    with Store.open(home.store) as store:
        sha = (store.champion() or "").removeprefix("sha256:")
    folder = report_folder(home, sha)
    evaluation = load_evaluation(folder)
    planted = AgainstDeclared("orders_84d", "Orders in the last 84 days", -1, 0.7, 0.12)
    first = replace(evaluation.targets[0], against=(planted,))
    changed = replace(evaluation, targets=(first, *evaluation.targets[1:]))
    save_evaluation(changed, folder)
    assert load_evaluation(folder) == changed
    bundle = load_bundle(home.bundles / sha, FEATURES)
    card = write_card(changed, bundle, home.about(), folder).read_text(encoding="utf-8")
    assert "Orders in the last 84 days (<code>orders_84d</code>)</td><td>falls</td>" in card
    assert "<td>+0.70</td><td>12.0 %</td>" in card

    app = create_app(Settings(home.path))
    key = app.state.service.store.new_key("data scientist")

    async def shown(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)

    page, twin = asyncio.run(shown("/app/models")), asyncio.run(shown("/app/models.json"))
    app.state.service.store.close()
    assert "Reasons against what everybody expects (1)" in page.text
    assert '<td>falls</td><td class="right">+0.70</td>' in page.text
    assert twin.json()["targets"][0]["against_declared"][0]["feature"] == "orders_84d"
