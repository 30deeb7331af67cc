import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.signals import DAY
from training.clocks import clocks, distance

FIRST = 1000 * DAY
SNAPSHOTS = FIRST + np.arange(90, 271, 15) * DAY


def found(log, snapshots=SNAPSHOTS) -> set[str]:  # type: ignore[no-untyped-def]
    who = np.repeat(np.arange(len(log)), len(snapshots))
    as_of = np.tile(snapshots, len(log))
    rows = feature_matrix(FEATURES, log, who, as_of)
    stopped = clocks(log, FEATURES, rows, as_of, FIRST)
    return {name for name, clock in zip(FEATURES.names, stopped, strict=True) if clock}


def steady_buyers(gap_of):  # type: ignore[no-untyped-def]
    """Forty customers who order for 300 days; `gap_of(day)` days pass until the next order."""
    facts = {}
    for number in range(40):
        day, mine = number / 4, []
        while day < 300:
            mine.append(("Order Completed", FIRST + int(day * DAY), FIRST + int(day * DAY), 1000))
            day += gap_of(day)
        facts[f"c{number:02}"] = mine
    return facts


def test_what_grows_with_the_history_is_a_clock(log_of) -> None:  # type: ignore[no-untyped-def]
    stopped = found(log_of(steady_buyers(lambda day: 5.0)))
    grown = {
        "order_days_ever",
        "orders_365d",
        "orders_ever",
        "spend_365d",
        "tenure_days",
        "days_since_first_order",
    }
    # A tenth of the weight, with this half life, lies further back than the first snapshot can
    # look; with 7 days it is less than a ten-thousandth.
    slowly = {"order_days_365d", "orders_half_life_21d", "orders_half_life_60d"}
    assert stopped == grown | slowly


def test_a_season_is_no_clock(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of(steady_buyers(lambda day: 5.0 if day < 150 else 11.0))
    who = np.arange(40)
    column = FEATURES.names.index("orders_28d")
    early, late = (
        feature_matrix(FEATURES, log, who, np.full(40, moment))[:, column]
        for moment in (SNAPSHOTS[0], SNAPSHOTS[-1])
    )
    assert distance(early, late) == 1.0
    assert "orders_28d" not in found(log)
    # It remembers everything a little, but nothing much of what lies 90 days back.
    assert "orders_half_life_7d" not in found(log)
    assert "orders_ever" in found(log)


def test_one_snapshot_shows_no_clock(log_of) -> None:  # type: ignore[no-untyped-def]
    assert found(log_of(steady_buyers(lambda day: 5.0)), SNAPSHOTS[:1]) == set()


@given(
    first=some.lists(some.integers(0, 6), min_size=1, max_size=30),
    second=some.lists(some.integers(0, 6), min_size=1, max_size=30),
)
def test_the_distance_as_by_brute_force(first: list[int], second: list[int]) -> None:
    a, b = np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
    gaps = [abs(float(np.mean(a <= x) - np.mean(b <= x))) for x in range(7)]
    assert distance(a, b) == pytest.approx(max(gaps))


def test_a_missing_value_is_the_smallest() -> None:
    some_missing = np.array([np.nan, np.nan, 1.0, 2.0])
    assert distance(some_missing, np.array([1.0, 2.0])) == pytest.approx(0.5)
