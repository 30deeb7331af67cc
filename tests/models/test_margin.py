from dataclasses import replace

import numpy as np
import pytest

from models.btyd import ORDER_FACTS, BgNbd
from models.classifier import WrongRows
from models.forest import Forest
from models.margin import MarginModel
from models.margin_interval import Intervals
from models.margin_kinds import MarginForest, PurchaseMargin
from models.model import DamagedModel

NAMES = ("days_since_last_order", "spend_365d", "days_since_first_order")
MODEL = MarginModel(
    margin_rate=0.5,
    horizon_days=28,
    prior_days=100.0,
    everyone_per_day=0.4,
    edges=(30.0,),
    factors=(0.9, 0.2),
    unknown_factor=0.1,
    base=3.0,
)


def test_the_usual_margin_is_a_shrunk_pace() -> None:
    # 200 spent in 100 days: 100 of margin; with 100 days of everyone's .4: 140 in 200 days.
    rows = np.array([[60.0, 200.0, 100.0]])
    assert MODEL.usual(rows, NAMES).tolist() == [pytest.approx(28 * 140 / 200)]


def test_only_a_year_is_remembered() -> None:
    rows = np.array([[60.0, 200.0, 365.0], [60.0, 200.0, 3000.0]])
    first, second = MODEL.usual(rows, NAMES)
    assert first == second == pytest.approx(28 * 140 / 465)


def test_silence_lowers_what_is_expected_not_what_is_usual() -> None:
    rows = np.array([[29.0, 200.0, 100.0], [30.0, 200.0, 100.0]])
    assert MODEL.usual(rows, NAMES).tolist() == pytest.approx([19.6, 19.6])
    assert MODEL.expected(rows, NAMES).tolist() == pytest.approx([19.6 * 0.9, 19.6 * 0.2])


def test_who_never_ordered_is_like_everyone_at_first() -> None:
    rows = np.array([[np.nan, 0.0, np.nan]])
    assert MODEL.usual(rows, NAMES).tolist() == pytest.approx([28 * 0.4])
    assert MODEL.expected(rows, NAMES).tolist() == pytest.approx([28 * 0.4 * 0.1])


def test_without_factors_the_usual_margin_is_expected() -> None:
    plain = MarginModel(0.5, 28, 100.0, 0.4, (), (), 1.0, 0.0)
    rows = np.array([[60.0, 200.0, 100.0]])
    assert plain.expected(rows, NAMES).tolist() == plain.usual(rows, NAMES).tolist()
    assert (plain.served_by, MODEL.served_by) == ("base_rate", "recency")


def test_refunds_beyond_orders_are_worth_nothing_not_less() -> None:
    assert MODEL.usual(np.array([[1.0, -900.0, 10.0]]), NAMES).tolist() == [0.0]


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(WrongRows, match="no feature 'spend_365d' among the 2 given"):
        MODEL.usual(np.zeros((1, 2)), ("days_since_last_order", "days_since_first_order"))


def test_the_parts_of_the_rule_add_up_in_money() -> None:
    rows = np.array([[29.0, 200.0, 100.0], [60.0, 20.0, 365.0], [np.nan, 0.0, np.nan]])
    parts = MODEL.contributions(rows, NAMES)
    np.testing.assert_allclose(parts.sum(axis=1), MODEL.expected(rows, NAMES), rtol=1e-12)
    # Two factors, each counted before and after the other: everyone's 11.2 times 3 / 11.2.
    usual, alike = 28 * 0.4, 3.0 / (28 * 0.4)
    spend = (19.6 - usual) * (0.9 + alike) / 2
    silence = (0.9 - alike) * (19.6 + usual) / 2
    assert parts[0].tolist() == pytest.approx([silence, spend, 0.0, 3.0])
    plain = MarginModel(0.5, 28, 100.0, 0.4, (), (), 1.0, 0.0)
    said = plain.contributions(rows, NAMES)
    np.testing.assert_allclose(said.sum(axis=1), plain.expected(rows, NAMES), rtol=1e-12)
    assert said[:, 0].tolist() == [0.0, 0.0, 0.0]


def test_no_interval_is_known_without_bands() -> None:
    assert MODEL.interval(10.0) is None
    known = replace(MODEL, intervals=Intervals(0.9, (), (0.5,), (2.0,), 0.1))
    assert known.interval(10.0) == (5.0, 20.0)


def test_a_margin_has_one_model() -> None:
    forest = MarginForest(Forest("tree"), 0.0)
    model = BgNbd(1.0, 9.0, 0.5, 2.0, 28.0, "presence", ORDER_FACTS, (3.0, 100.0, 30.0))
    purchases = PurchaseMargin(model, 10.0, 2.0, 0.5)
    assert replace(MODEL, forest=forest).served_by == "lightgbm"
    assert replace(MODEL, purchases=purchases).served_by == "bg_nbd"
    with pytest.raises(DamagedModel, match="a margin by a forest and by purchases; must be one"):
        replace(MODEL, forest=forest, purchases=purchases)
    with pytest.raises(DamagedModel, match="2 factors for 2 edges of recency bands; must be one"):
        replace(MODEL, edges=(1.0, 2.0))


BUYS = BgNbd(1.4, 9.6, 0.5, 3.0, 28.0, "presence", ORDER_FACTS, (5.0, 200.0, 20.0))
ALL_NAMES = (*NAMES, "order_days_365d", "order_days_ever")


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        replace(MODEL, factors=(), edges=()),
        replace(MODEL, margin_rate=0.0, everyone_per_day=0.0, prior_days=0.0),
        replace(MODEL, purchases=PurchaseMargin(BUYS, 12.0, 2.0, 0.4)),
        replace(MODEL, purchases=PurchaseMargin(replace(BUYS, a=1.0, r=0.3), 12.0, 2.0, 0.4)),
    ],
    ids=["rule", "no factors", "nothing earned", "purchases", "a beta at its pole"],
)
def test_one_customer_is_told_the_same_as_many_to_the_last_bit(model: MarginModel) -> None:
    rng = np.random.default_rng(7)
    size = 4000
    first = rng.gamma(1.0, 300.0, size)
    silent = first * rng.random(size) * rng.choice([0.0, 1.0, 1.2], size)  # later than first, too
    spent = rng.normal(100.0, 90.0, size)
    ever = rng.choice([0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 8.0, 9.0, 40.0, 700.0], size)
    rows = np.stack([silent, spent, first, np.minimum(ever, 30.0), ever], axis=1)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    rows[:2, 0] = 30.0  # at the edge of a band
    one = [model.of_one(row, ALL_NAMES) for row in rows]
    many = zip(
        model.expected(rows, ALL_NAMES).tolist(), model.usual(rows, ALL_NAMES).tolist(), strict=True
    )
    assert one == list(many)


def test_one_customer_without_a_feature_is_refused() -> None:
    with pytest.raises(WrongRows, match="no feature 'spend_365d' among the 1 given"):
        MODEL.of_one(np.zeros(1), ("days_since_first_order",))
