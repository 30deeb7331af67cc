import numpy as np
import pytest

from features.definitions import FEATURES
from training.forest import BoosterSettings, Growth
from training.margins import MarginRows, MarginSettings, fit_margin

NAMES = FEATURES.names
SETTINGS = MarginSettings(NAMES, 0.5, 28, Growth(BoosterSettings(rounds=60), 1))


def shop(people: int, seed: int, hidden: float = 1.0) -> tuple[MarginRows, np.ndarray]:
    """Rows at five moments; what is bought depends on a feature that no rule looks at."""
    rng = np.random.default_rng(seed)
    n = people * 5
    customers, moments = np.repeat(np.arange(people), 5), np.tile(np.arange(5), people)
    rows = np.full((n, len(NAMES)), 0.0)

    def put(name: str, values: np.ndarray) -> None:
        rows[:, NAMES.index(name)] = values

    pace = np.repeat(rng.gamma(2.0, 0.02, people), 5)
    watched = rng.uniform(50, 365, n)
    orders = 1 + rng.poisson(pace * watched)
    reads = np.repeat(rng.random(people), 5)
    put("days_since_first_order", watched)
    put("days_since_last_order", watched * rng.beta(1, orders))
    put("order_days_ever", orders)
    put("order_days_365d", orders)
    put("spend_365d", 40.0 * orders)
    put("email_open_rate_90d", reads)
    expected = 0.5 * 28 * pace * 40.0 * np.exp(hidden * (reads - 0.5)) * 1.1
    takings = rng.poisson(expected / 20.0) * 40.0
    clocks = np.zeros(len(NAMES), dtype=bool)
    return MarginRows(rows, takings, customers, moments.astype(np.int64), clocks), expected


def test_the_forest_serves_where_it_sees_more_than_the_rules() -> None:
    (learned, _), (tested, expected) = shop(800, 1, hidden=3.0), shop(400, 2, hidden=3.0)
    found = fit_margin(learned, tested, SETTINGS, np.random.default_rng(1))
    assert [each.model for each in found.measured] == ["recency", "bg_nbd", "lightgbm"]
    rule, purchases, forest = found.measured
    assert found.model.served_by == "lightgbm"
    assert (forest.serves, forest.verdict, rule.verdict) == (True, "beats", "")
    assert forest.root_square_error < min(rule.root_square_error, purchases.root_square_error)
    assert "expected_margin: LightGBM beats" in found.note
    assert "lightgbm serves. Its interval, meant for 90%, held" in found.note
    assert np.corrcoef(found.model.expected(tested.rows, NAMES), expected)[0, 1] > 0.8
    assert forest.coverage == pytest.approx(0.9, abs=0.03)
    assert forest.width is not None
    assert rule.coverage is None


def test_a_rule_serves_where_the_forest_is_no_better() -> None:
    (learned, _), (tested, _) = shop(120, 3, hidden=0.0), shop(300, 4, hidden=0.0)
    found = fit_margin(learned, tested, SETTINGS, np.random.default_rng(1))
    serving = [each for each in found.measured if each.serves]
    assert [each.model for each in serving] == [found.model.served_by]
    assert found.model.served_by in ("recency", "bg_nbd")
    assert f"{found.model.served_by} serves." in found.note
    assert found.model.forest is None
    assert serving[0].coverage is not None
    assert found.measured[-1].verdict in ("loses", "unclear")


def test_few_customers_get_the_rule_untested() -> None:
    learned, _ = shop(100, 5)
    tested, _ = shop(20, 6)
    found = fit_margin(learned, tested, SETTINGS, np.random.default_rng(1))
    assert found.model.served_by == "recency"
    assert found.note.startswith(
        "expected_margin: 20 customers to test on, at least 30 are needed; recency serves, untested"
    )
    small, _ = shop(40, 7)
    found = fit_margin(small, tested, SETTINGS, np.random.default_rng(1))
    assert found.note == "expected_margin: recency serves; too few rows with a margin for more."
    assert found.model.intervals is None


def test_refunds_are_part_of_the_mean() -> None:
    (learned, _), (tested, _) = shop(800, 8, hidden=3.0), shop(10, 9)
    takings = learned.takings.copy()
    takings[::7] = -30.0
    refunded = MarginRows(learned.rows, takings, learned.customers, learned.as_of, learned.clocks)
    found = fit_margin(refunded, refunded, SETTINGS, np.random.default_rng(1))
    assert len(tested)
    assert found.model.served_by == "lightgbm"
    mean = found.model.expected(learned.rows, NAMES).mean()
    assert mean == pytest.approx(0.5 * takings.mean(), rel=0.01)
    low, _ = found.model.interval(0.01) or (0.0, 0.0)
    assert low < 0


def test_takings_that_are_not_known_yet_leave_a_pace() -> None:
    learned, _ = shop(50, 10)
    unknown = MarginRows(
        learned.rows,
        np.full(len(learned), np.nan),
        learned.customers,
        learned.as_of,
        learned.clocks,
    )
    found = fit_margin(unknown, unknown.known(), SETTINGS, np.random.default_rng(1))
    assert (found.model.served_by, found.measured) == ("base_rate", ())
