import numpy as np
import pytest

from models.btyd import ORDER_FACTS, BgNbd, purchases_of
from models.classifier import WrongRows
from models.forest import Forest
from models.forest_text import check_forest
from models.margin import MarginModel
from models.margin_kinds import (
    OBJECTIVE,
    MarginForest,
    PurchaseMargin,
    logarithmic_mean,
    product_parts,
)
from models.model import DamagedModel
from training.forest import BoosterSettings, Growth, fit_money_forest

NAMES = ("days_since_last_order", "spend_365d", "days_since_first_order", "order_days_365d")
FACTS = (*NAMES, "order_days_ever")
BUYS = BgNbd(1.4, 9.6, 0.5, 3.0, 28.0, "presence", ORDER_FACTS, (5.0, 200.0, 20.0))


@pytest.fixture(scope="module")
def forest() -> Forest:
    rng = np.random.default_rng(1)
    rows = rng.gamma(1.0, 30.0, (1500, 4))
    rows[rng.random((1500, 4)) < 0.1] = np.nan
    money = np.where(rng.random(1500) < 0.6, rng.gamma(2.0, 1 + np.nan_to_num(rows[:, 1])), 0.0)
    return fit_money_forest(rows, money, NAMES, Growth(BoosterSettings(rounds=20), 1))


def test_a_forest_for_money_is_what_the_check_expects(forest: Forest) -> None:
    check_forest(forest.text, NAMES, OBJECTIVE)
    with pytest.raises(DamagedModel, match="has objective tweedie; must be binary"):
        check_forest(forest.text, NAMES)


def test_what_a_forest_expects_is_the_exponential_of_its_leaves(forest: Forest) -> None:
    from lightgbm import Booster

    rows = np.random.default_rng(2).gamma(1.0, 30.0, (50, 4))
    oracle = np.asarray(Booster(model_str=forest.text).predict(rows, num_threads=1))
    found = MarginForest(forest, 0.0).expected(rows, NAMES)
    np.testing.assert_allclose(found, oracle, rtol=1e-12)
    shifted = MarginForest(forest, np.log(0.9)).expected(rows, NAMES)
    np.testing.assert_allclose(shifted, 0.9 * oracle, rtol=1e-12)


def test_a_forest_tells_one_customer_the_same_as_many(forest: Forest) -> None:
    rows = np.random.default_rng(4).gamma(1.0, 30.0, (300, 4))
    model = MarginModel(0.5, 28, 100.0, 0.4, (), (), 1.0, 3.0, forest=MarginForest(forest, -0.1))
    one = [model.of_one(row, NAMES) for row in rows]
    expected, usual = model.expected(rows, NAMES), model.usual(rows, NAMES)
    assert one == list(zip(expected.tolist(), usual.tolist(), strict=True))


def test_the_parts_of_a_forest_add_up_in_money(forest: Forest) -> None:
    rows = np.random.default_rng(3).gamma(1.0, 30.0, (200, 4))
    rows[0] = np.nan
    model = MarginForest(forest, -0.1)
    parts = model.contributions(rows, NAMES)
    assert parts.shape == (200, 5)
    np.testing.assert_allclose(parts.sum(axis=1), model.expected(rows, NAMES), rtol=1e-9)
    assert np.unique(parts[:, -1]).size == 1
    logs = forest.contributions(rows, NAMES)[:, :-1]
    assert (np.sign(parts[:, :-1]) == np.sign(logs)).all()


def test_purchases_times_their_worth() -> None:
    rows = np.array([[20.0, 300.0, 200.0, 4.0, 5.0], [np.nan, 0.0, np.nan, 0.0, 0.0]])
    model = PurchaseMargin(BUYS, worth=20.0, prior_orders=2.0, margin_rate=0.5)
    orders = BUYS.expected(purchases_of(np.array([[5.0, 200.0, 20.0]])), 28.0)[0]
    # 150 of margin on 4 days, and two days more of everyone's 20.
    assert model.expected(rows, FACTS).tolist() == pytest.approx([orders * 190 / 6, 0.0])


def test_the_parts_of_purchases_add_up_in_money() -> None:
    rng = np.random.default_rng(5)
    rows = np.column_stack(
        [rng.uniform(0, 90, 60), rng.uniform(-50, 900, 60), rng.uniform(90, 400, 60),
         rng.integers(1, 9, 60), rng.integers(1, 12, 60)]
    )  # fmt: skip
    rows[0] = np.nan
    model = PurchaseMargin(BUYS, 20.0, 2.0, 0.5)
    parts = model.contributions(rows, FACTS)
    np.testing.assert_allclose(parts.sum(axis=1), model.expected(rows, FACTS), rtol=1e-9, atol=1e-9)
    assert not parts[:, 2:5].any()


def test_purchases_need_their_features_and_a_weight() -> None:
    model = PurchaseMargin(BUYS, 20.0, 2.0, 0.5)
    with pytest.raises(WrongRows, match="no feature 'order_days_ever' among the 4 given"):
        model.expected(np.zeros((1, 4)), NAMES)
    with pytest.raises(DamagedModel, match="prior_orders = 0; must be above 0"):
        PurchaseMargin(BUYS, 20.0, 0.0, 0.5)


def test_the_logarithmic_mean_lies_between_the_other_two() -> None:
    one, other = np.array([2.0, 3.0, 5.0]), np.array([8.0, 3.0, 5.0 + 1e-12])
    found = logarithmic_mean(one, other)
    assert found.tolist() == pytest.approx([6 / np.log(4), 3.0, 5.0])
    assert np.sqrt(16.0) < found[0] < 5.0


def test_two_factors_share_what_they_do_together() -> None:
    first, second = product_parts(np.array([6.0]), np.array([5.0]), 4.0, 2.0)
    assert (first.tolist(), second.tolist()) == ([7.0], [15.0])
