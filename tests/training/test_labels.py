from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.signals import ABSENT, DAY
from models.at_risk import at_risk
from models.targets import RUNNING, Target, load_targets
from training.labels import at_risk_then, labels, takings_after

CHURN = load_targets()["churn_risk"]
AGAIN = load_targets()["repurchase_likelihood"]
NOW = 1000 * DAY
END = NOW + 400 * DAY
ORDER = "Order Completed"


def answer(log_of, facts, target=CHURN, end=END) -> int:  # type: ignore[no-untyped-def]
    log = log_of({"c": facts})
    found = labels(log, np.array([0]), np.array([NOW]), target, end)
    return int(found.values[0])


@pytest.mark.parametrize(
    ("after", "churned"),
    [
        (0, 0),  # at as_of itself: the window begins there
        (28 * DAY - 1, 0),
        (28 * DAY, 1),  # the window's end lies outside
        (None, 1),
    ],
)
def test_the_label_window_holds_its_start_and_not_its_end(log_of, after, churned) -> None:  # type: ignore[no-untyped-def]
    facts = [(ORDER, NOW - DAY)] + ([] if after is None else [(ORDER, NOW + after)])
    assert answer(log_of, facts) == churned


@pytest.mark.parametrize(
    ("before", "asked"), [(1, True), (56 * DAY, True), (56 * DAY + 1, False), (0, False)]
)
def test_who_ordered_within_the_at_risk_days_is_asked(log_of, before, asked) -> None:  # type: ignore[no-untyped-def]
    assert (answer(log_of, [(ORDER, NOW - before)]) >= 0) == asked


def test_an_order_not_yet_received_puts_nobody_at_risk(log_of) -> None:  # type: ignore[no-untyped-def]
    assert answer(log_of, [(ORDER, NOW - DAY, NOW)]) == -1
    assert answer(log_of, [(ORDER, NOW - DAY, NOW - 1)]) == 1


def test_an_order_received_after_the_end_did_not_happen(log_of) -> None:  # type: ignore[no-untyped-def]
    end = NOW + 28 * DAY
    facts = [(ORDER, NOW - DAY), (ORDER, NOW + DAY, end - 1)]
    assert answer(log_of, facts, end=end) == 0
    facts = [(ORDER, NOW - DAY), (ORDER, NOW + DAY, end)]
    assert answer(log_of, facts, end=end) == 1


def test_presence_is_the_other_way_round(log_of) -> None:  # type: ignore[no-untyped-def]
    before = (ORDER, NOW - DAY)
    assert answer(log_of, [before, (ORDER, NOW + 7 * DAY - 1)], AGAIN) == 1
    assert answer(log_of, [before, (ORDER, NOW + 7 * DAY)], AGAIN) == 0


def test_a_cancellation_is_looked_for_where_the_target_says_so(log_of) -> None:  # type: ignore[no-untyped-def]
    target = replace(CHURN, outcome="presence", event=("Subscription Cancelled",))
    before = (ORDER, NOW - DAY)
    assert answer(log_of, [before, (ORDER, NOW + DAY)], target) == 0
    assert answer(log_of, [before, ("Subscription Cancelled", NOW + DAY)], target) == 1


def test_what_is_not_known_is_counted_not_answered(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of({"a": [(ORDER, NOW - DAY)], "b": [(ORDER, NOW - 90 * DAY)]})
    who = np.array([0, 0, 1])
    as_of = np.array([NOW, NOW + DAY, NOW])
    found = labels(log, who, as_of, CHURN, NOW + 28 * DAY)
    assert found.values.tolist() == [1, -1, -1]
    assert (found.censored, found.not_at_risk) == (1, 1)


@given(
    orders=some.lists(
        some.tuples(some.integers(0, 2), some.integers(-90, 90), some.integers(0, 40)), max_size=12
    ),
    snapshots=some.lists(some.integers(-30, 60), min_size=1, max_size=3, unique=True),
)
def test_labels_as_by_brute_force(log_of, orders, snapshots) -> None:  # type: ignore[no-untyped-def]
    facts: dict[str, list[tuple[str, int, int]]] = {"a": [], "b": [], "c": []}
    for who, day, delay in orders:
        facts["abc"[who]].append((ORDER, NOW + day * DAY, NOW + (day + delay) * DAY))
    log = log_of(facts)
    end = NOW + 70 * DAY
    customers = np.repeat([0, 1, 2], len(snapshots))
    as_of = NOW + np.tile(snapshots, 3) * DAY
    for target in (CHURN, AGAIN):
        expected = []
        for who, moment in zip(customers.tolist(), as_of.tolist(), strict=True):
            mine = facts["abc"[who]]
            stop = moment + target.window_days * DAY
            known = [at for _, at, got in mine if at < moment and got < moment]
            recent = any(moment - at <= target.at_risk_days * DAY for at in known)
            bought = any(moment <= at < stop and got < end for _, at, got in mine)
            if stop > end or not recent:
                expected.append(-1)
            else:
                expected.append(int(bought == (target.outcome == "presence")))
        assert labels(log, customers, as_of, target, end).values.tolist() == expected


LAPSE = Target(
    "churn_risk", "Over?", "lapse", 20, at_risk=(RUNNING,), also_window_days=(), event=()
)
STARTED, RENEWED, CANCELLED = (
    "Subscription Started",
    "Subscription Renewed",
    "Subscription Cancelled",
)


def term(event: str, day: float, ends: float | None = None, delay: float = 0.0) -> tuple:  # type: ignore[type-arg]
    at = int(NOW + day * DAY)
    value = ABSENT if ends is None else int(NOW + ends * DAY)
    return event, at, at + int(delay * DAY), ABSENT, value


@pytest.mark.parametrize(
    ("facts", "ended"),
    [
        ([term(STARTED, -25, 5)], 1),  # over, and nobody renewed
        ([term(STARTED, -25, 5), term(RENEWED, 4, 34)], 0),
        ([term(STARTED, -25, 5), term(RENEWED, 6, 36)], 0),  # late, but within the window
        ([term(STARTED, -25, 5), term(RENEWED, 6, 36, delay=30)], 0),  # heard of later
        ([term(STARTED, -25, 25)], 0),  # runs on beyond the window
        ([term(STARTED, -25, 25), term(CANCELLED, 3, 25)], 1),  # paid for, but cancelled
        ([term(STARTED, -25, 25), term(CANCELLED, 3, 25), term(STARTED, 4, 64)], 0),
        ([term(STARTED, -25)], 0),  # no end was stated: it runs until it is cancelled
        ([term(STARTED, -25), term(CANCELLED, 19.9)], 1),
        ([term(STARTED, -25), term(CANCELLED, 20)], 0),  # the window's end lies outside
        ([term(STARTED, -25, -1)], -1),  # was over before: not asked
        ([term(STARTED, -25, 5), term(CANCELLED, -1, 5)], -1),
        ([term(STARTED, -25, 5, delay=26)], -1),  # not known yet
        ([], -1),
    ],
)
def test_a_subscription_lapses(log_of, facts, ended) -> None:  # type: ignore[no-untyped-def]
    assert answer(log_of, [*facts, ("Page Viewed", NOW - DAY)], LAPSE) == ended


def test_any_of_several_events_is_looked_for(log_of) -> None:  # type: ignore[no-untyped-def]
    events = ("Application Opened", "Feature Used", "Page Viewed", "Product Viewed")
    target = replace(CHURN, event=events, at_risk=events)
    assert answer(log_of, [("Feature Used", NOW - DAY)], target) == 1
    assert answer(log_of, [("Feature Used", NOW - DAY), ("Page Viewed", NOW + DAY)], target) == 0
    assert answer(log_of, [(ORDER, NOW - DAY), ("Page Viewed", NOW + DAY)], target) == -1


EVENTS = (ORDER, "Page Viewed", "Feature Used", STARTED, RENEWED, CANCELLED)


@given(
    facts=some.lists(
        some.tuples(
            some.integers(0, 5),
            some.integers(-90, 20),
            some.integers(0, 9),
            some.none() | some.integers(-60, 60),
        ),
        max_size=8,
    ),
    moment=some.integers(-10, 10),
)
def test_who_is_asked_in_training_is_asked_in_service(log_of, facts, moment) -> None:  # type: ignore[no-untyped-def]
    told = [term(EVENTS[kind], day, ends, delay) for kind, day, delay, ends in facts]
    log = log_of({"c": told})
    who, as_of = np.array([0]), np.array([NOW + moment * DAY])
    rows = feature_matrix(FEATURES, log, who, as_of)
    events = ("Application Opened", "Feature Used", "Page Viewed", "Product Viewed")
    for target in (CHURN, AGAIN, LAPSE, replace(CHURN, at_risk=events)):
        then = at_risk_then(log, who, as_of, target)
        assert then.tolist() == at_risk(target, rows, FEATURES).tolist()


def test_takings_are_orders_less_refunds(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of(
        {
            "a": [
                (ORDER, NOW - 1, NOW - 1, 999_00),
                (ORDER, NOW, NOW, 10_50),
                (ORDER, NOW + 3 * DAY, NOW + 3 * DAY, 20_00),
                (ORDER, NOW + 4 * DAY),  # without an amount
                ("Order Refunded", NOW + 5 * DAY, NOW + 5 * DAY, 5_25),
                (ORDER, NOW + 28 * DAY, NOW + 28 * DAY, 999_00),
            ],
            "b": [("Page Viewed", NOW)],
        }
    )
    who, as_of = np.array([0, 1, 0]), np.array([NOW, NOW, END])
    found = takings_after(log, who, as_of, 28, END)
    assert found[:2].tolist() == [25.25, 0.0]
    assert np.isnan(found[2])
