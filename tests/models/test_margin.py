import numpy as np
import pytest

from models.classifier import WrongRows
from models.margin import MarginModel

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
