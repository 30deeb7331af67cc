import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from features.algebra import FeatureSet
from features.definitions import FEATURES
from features.signals import DAY
from models.targets import load_targets
from training.dataset import (
    NothingToLearn,
    Schedule,
    ScheduleRules,
    beginning,
    data_end,
    schedule,
    training_table,
)

ORDER = "Order Completed"
RULES = ScheduleRules()
FEW = FeatureSet(FEATURES.features[:3])


def day(text: str) -> int:
    return int(np.datetime64(text, "D").astype(int)) * DAY


def as_days(moments: tuple[int, ...]) -> list[str]:
    return [str(np.datetime64(moment // DAY, "D")) for moment in moments]


def test_a_year_of_groceries_gives_thirteen_and_five_snapshots() -> None:
    # The dates of the published comparison on Complete Journey.
    plan = schedule(day("2017-01-01"), day("2018-01-01"), 28, RULES)
    assert (len(plan.train), len(plan.test)) == (13, 5)
    assert as_days(plan.train)[::12] == ["2017-03-27", "2017-09-11"]
    assert as_days(plan.test)[::4] == ["2017-10-09", "2017-12-04"]
    assert plan.notes == ()


@given(days=some.integers(0, 1200), window=some.integers(1, 200))
def test_no_training_window_reaches_into_the_test(days: int, window: int) -> None:
    first, end = day("2017-01-01"), day("2017-01-01") + days * DAY
    plan = schedule(first, end, window, RULES)
    snapshots = [*plan.train, *plan.test]
    assert snapshots == sorted(set(snapshots))
    for moment in snapshots:
        assert first < moment
        assert moment + window * DAY <= end
    if plan.test:
        assert plan.train[-1] + window * DAY <= plan.test[0]
        assert 1 <= len(plan.test) <= 5
        assert len(plan.test) <= len(plan.train) <= 13
    else:
        assert len(plan.notes) == 1
    if days > window:
        assert plan.train


def test_a_short_history_is_said_to_be_short() -> None:
    first = day("2017-01-01")
    plan = schedule(first, first + 20 * DAY, 28, RULES)
    assert plan == Schedule((), (), plan.notes)
    assert "Too short: 20 days from the first order to the end of the data" in plan.notes[0]
    plan = schedule(first, first + 50 * DAY, 28, RULES)
    assert len(plan.train) == 2
    assert "Too short to test: 2 snapshots fit" in plan.notes[0]


def test_the_data_end_with_the_last_signal_not_with_the_clock(log_of) -> None:  # type: ignore[no-untyped-def]
    noon = day("2020-05-05") + DAY // 2
    log = log_of({"a": [(ORDER, noon)], "b": [(ORDER, noon, noon + 9 * DAY)]})
    assert data_end(log, noon + 300 * DAY) == day("2020-05-15")
    assert data_end(log, noon + 2 * DAY) == day("2020-05-06")
    assert data_end(log, noon + 1) == noon + 1


def test_no_signals_are_nothing_to_learn_from(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of({"a": [(ORDER, 5 * DAY)]})
    with pytest.raises(NothingToLearn, match="no signals were received before the moment"):
        data_end(log, 5 * DAY)


def test_no_orders_are_nothing_to_learn_from(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of({"a": [("Page Viewed", DAY)], "anon:1": [(ORDER, DAY)], "b": [(ORDER, 9 * DAY)]})
    assert beginning(log, 10 * DAY, load_targets()) == 9 * DAY
    words = "no 'Order Completed' among 3 signals of 3 customers"
    with pytest.raises(NothingToLearn, match=words):
        beginning(log, 9 * DAY, load_targets())


def test_rows_are_identified_customers_already_known(log_of) -> None:  # type: ignore[no-untyped-def]
    t = [100 * DAY, 200 * DAY]
    log = log_of(
        {
            "anon:9": [(ORDER, DAY)],
            "a": [(ORDER, DAY)],
            "late": [(ORDER, DAY, 150 * DAY)],
            "new": [(ORDER, 150 * DAY)],
            "silent": [],
        }
    )
    plan = Schedule((t[0],), (t[1],))
    table = training_table(log, FEW, load_targets(), plan, 300 * DAY)
    found = [
        (log.customer_ids[who], moment)
        for who, moment in zip(table.customers.tolist(), table.as_of.tolist(), strict=True)
    ]
    assert found == [("a", t[0]), ("a", t[1]), ("late", t[1]), ("new", t[1])]
    assert table.test.tolist() == [False, True, True, True]
    assert table.rows[:, 0].tolist() == [99.0, 199.0, 199.0, 50.0]
    assert table.answers["churn_risk"].values.tolist() == [-1, -1, -1, 1]


def test_too_many_rows_are_sampled_by_customer(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of({f"c{number:04}": [(ORDER, DAY)] for number in range(1000)})
    plan = Schedule((100 * DAY, 114 * DAY), ())
    table = training_table(log, FEW, load_targets(), plan, 300 * DAY, most_rows=1000)
    kept = np.unique(table.customers)
    assert 400 < len(kept) < 600
    assert len(table.rows) == 2 * len(kept)
    assert re.match(r"Trained on \d+ of 1,000 customers, chosen by the hash", table.notes[0])
    again = training_table(log, FEW, load_targets(), plan, 300 * DAY, most_rows=500)
    assert set(np.unique(again.customers)) < set(kept)
