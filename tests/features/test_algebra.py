import hashlib
import re
from collections.abc import Callable

import numpy as np
import pytest

from features.algebra import GROUPS, Feature, FeatureSet, InvalidFeature
from features.decay import decayed_weights
from features.expressions import (
    Expression,
    InvalidHalfLife,
    InvalidWindow,
    Signals,
    UnknownEvent,
)
from features.signals import DAY, code

ORDERS = Signals("Order Completed")
EVENTS = ("Order Completed", "Page Viewed", "Ticket Opened", "Ticket Replied")


def feature(name: str = "orders", **facts: object) -> Feature:
    given: dict[str, object] = {
        "label": "Orders",
        "unit": "orders",
        "group": "frequency",
        "expression": ORDERS.count,
    }
    return Feature(name, **{**given, **facts})  # type: ignore[arg-type]


def test_the_fingerprint_is_a_hash_of_names_and_definitions_written_out() -> None:
    spend = feature("spend_28d", expression=(ORDERS.sum_amount / 100).within(28))
    discount = feature("discounts", expression=Signals("Order Completed").sum_value)
    written = (
        "meaning 1\n"
        "spend_28d = sum_amount(Order Completed; 28) 0x1.9000000000000p+6 divide\n"
        "discounts = sum_value(Order Completed; ever) of discount"
    )
    expected = hashlib.sha256(written.encode()).hexdigest()
    assert FeatureSet((spend, discount)).fingerprint == expected


@pytest.mark.parametrize(
    "other",
    [
        feature("orders_2"),
        feature(expression=ORDERS.count.within(7)),
        feature(expression=ORDERS.distinct_days),
        feature(expression=Signals("Order Refunded").count),
        feature(expression=ORDERS.count + 0),
    ],
)
def test_another_definition_has_another_fingerprint(other: Feature) -> None:
    assert FeatureSet((other,)).fingerprint != FeatureSet((feature(),)).fingerprint


def test_the_order_of_features_enters_the_fingerprint() -> None:
    a, b = feature("a"), feature("b")
    assert FeatureSet((a, b)).fingerprint != FeatureSet((b, a)).fingerprint


@pytest.mark.parametrize(
    "same",
    [
        feature(label="Number of orders"),
        feature(group="spend"),
        feature(direction={"churn_risk": -1}, actionable=True, sensitive=True),
        feature(expression=ORDERS.count.ever),
        feature(expression=Signals("Order Completed", "Order Completed").count),
    ],
)
def test_words_about_a_feature_leave_the_fingerprint_alone(same: Feature) -> None:
    assert FeatureSet((same,)).fingerprint == FeatureSet((feature(),)).fingerprint


def test_the_order_in_which_events_are_named_is_of_no_consequence() -> None:
    first, second = Signals("Email Sent", "SMS Sent"), Signals("SMS Sent", "Email Sent")
    assert first.count == second.count


def test_over_gives_one_expression_a_window() -> None:
    opens, sends = Signals("Email Opened").count, Signals("Email Sent").count
    month, quarter = (opens / sends).over(28, 90)
    assert month == opens.within(28) / sends.within(28)
    assert quarter == opens.within(90) / sends.within(90)


def test_a_feature_over_windows_names_and_labels_each() -> None:
    week, month = feature("orders_{days}d", label="Orders in the last {days} days").over(7, 28)
    assert (week.name, week.label) == ("orders_7d", "Orders in the last 7 days")
    assert (month.name, month.label) == ("orders_28d", "Orders in the last 28 days")
    assert month.expression == ORDERS.count.within(28)
    assert month.group == "frequency"


@pytest.mark.parametrize("days", [0, -7, 2.5, True, 36_501])
def test_a_window_is_a_whole_number_of_days(days: int) -> None:
    words = f"window of {days!r} days; must be a whole number from 1 to 36500"
    with pytest.raises(InvalidWindow, match=re.escape(words)):
        ORDERS.count.within(days)


@pytest.mark.parametrize(
    "windowed_twice",
    [
        lambda: ORDERS.count.within(7).within(28),
        lambda: ORDERS.count.ever.within(28),
        lambda: (ORDERS.count.within(7) / ORDERS.count).ever,
    ],
)
def test_a_second_window_is_refused(windowed_twice: Callable[[], Expression]) -> None:
    with pytest.raises(InvalidWindow, match=r"count\(Order Completed; .*has a window already"):
        windowed_twice()


def test_half_lives_and_replies_stand_in_the_fingerprint() -> None:
    tickets = Signals("Ticket Opened")
    assert ORDERS.decayed_count(21).text() == "decayed_count(Order Completed; half life 21)"
    assert tickets.mean_wait("Ticket Replied").within(90).text() == (
        "mean_wait(Ticket Opened until Ticket Replied; 90)"
    )
    assert tickets.answered("Ticket Replied").text() == (
        "answered(Ticket Opened until Ticket Replied; ever)"
    )
    assert Signals("Points Earned").previous_value.text() == (
        "previous_value(Points Earned; ever) of points"
    )


@pytest.mark.parametrize("half_life", [0, 8, -21])
def test_a_half_life_without_weights_is_refused(half_life: int) -> None:
    words = f"half life of {half_life} days; weights are kept for 7, 21, 60; choose one"
    with pytest.raises(InvalidHalfLife, match=re.escape(words)):
        ORDERS.decayed_count(half_life)


def test_a_decayed_count_takes_no_window() -> None:
    with pytest.raises(InvalidWindow, match=r"half life 7\) has a window already"):
        ORDERS.decayed_count(7).within(28)


@pytest.mark.parametrize(
    ("waiting", "reply", "words"),
    [
        (ORDERS, "Order Completed", "'Order Completed' would be its own reply"),
        (Signals.any(), "Ticket Replied", "'Ticket Replied' would be its own reply"),
        (ORDERS, "Order Shiped", "did you mean 'Order Shipped'?"),
    ],
)
def test_a_reply_is_another_known_event(waiting: Signals, reply: str, words: str) -> None:
    with pytest.raises(UnknownEvent, match=re.escape(words)):
        waiting.mean_wait(reply)


def test_decays_and_waits_in_the_program_by_hand() -> None:
    program = FeatureSet(
        (
            feature("a", expression=ORDERS.decayed_count(21)),
            feature("b", expression=Signals("Page Viewed").decayed_count(7) + 1),
            feature("c", expression=Signals("Ticket Opened").mean_wait("Ticket Replied")),
        )
    ).program
    # Selectors in order: orders, pages, tickets; the half life of 7 days comes first.
    seven, twenty_one = decayed_weights(7), decayed_weights(21)
    np.testing.assert_array_equal(program.weights, [*seven, *twenty_one])
    np.testing.assert_array_equal(program.decay_starts, [0, 1, 2, 2])
    np.testing.assert_array_equal(program.weight_starts, [len(seven), 0])
    np.testing.assert_array_equal(program.weight_stops, [len(seven) * 4, len(seven)])
    np.testing.assert_array_equal(program.operations, [12, 12, 4, 0, 21])
    np.testing.assert_array_equal(program.operands, [0, 1, 0, 0, 2])
    reply = 1 + sorted(code(key) for key in EVENTS).index(code("Ticket Replied"))
    np.testing.assert_array_equal(program.reply_kinds, [-1, -1, reply])


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "Signals() names no event; name one, or write Signals.any()"),
        (
            ["Order Complete"],
            "event 'Order Complete' is not in the signal contract; did you mean 'Order Completed'?",
        ),
        (["Zzz"], "event 'Zzz' is not in the signal contract; add it to KNOWN_EVENTS"),
        (
            ["Page Viewed/home"],
            "event key 'Page Viewed/home': only Communication Sent, "
            "Survey Answered, Survey Sent take a word",
        ),
        (["Survey Answered/"], "event key 'Survey Answered/'"),
    ],
)
def test_a_mistaken_event_is_named(keys: list[str], words: str) -> None:
    with pytest.raises(UnknownEvent, match=re.escape(words)):
        Signals(*keys)


@pytest.mark.parametrize(
    ("mistaken", "words"),
    [
        ([feature(), feature()], "feature 'orders' is defined twice"),
        ([feature("Orders")], "feature name 'Orders'; must be lower-case letters"),
        ([feature("orders_{days}d")], "feature name 'orders_{days}d'"),
        ([feature(label="")], "feature 'orders' has the label ''"),
        ([feature(label="In {days} days")], "has the label 'In {days} days'"),
        (
            [feature(group="money")],
            "feature 'orders' is in the group 'money'; groups are " + ", ".join(GROUPS),
        ),
        (
            [feature(direction={"churn_risk": 2})],
            "feature 'orders' has the direction 2 for churn_risk; directions are +1 and -1",
        ),
    ],
)
def test_a_mistaken_feature_is_named(mistaken: list[Feature], words: str) -> None:
    with pytest.raises(InvalidFeature, match=re.escape(words)):
        FeatureSet(tuple(mistaken))


def test_the_program_of_two_features_by_hand() -> None:
    program = FeatureSet(
        (
            feature("a", expression=ORDERS.count.within(7) / 4),
            feature("b", expression=Signals.any().age - ORDERS.count.within(2)),
        )
    ).program
    # Selectors in order: any signal (ever), orders (2 and 7 days).
    np.testing.assert_array_equal(program.codes, [code("Order Completed")])
    np.testing.assert_array_equal(program.kind_starts, [0, 1, 3])
    np.testing.assert_array_equal(program.kind_selectors, [0, 0, 1])
    np.testing.assert_array_equal(program.window_starts, [0, 1, 3])
    np.testing.assert_array_equal(program.window_lengths, [2**62, 2 * DAY, 7 * DAY])
    np.testing.assert_array_equal(program.keeps_categories, [0, 0])
    np.testing.assert_array_equal(program.step_starts, [0, 3, 6])
    np.testing.assert_array_equal(program.operations, [5, 4, 3, 14, 5, 1])
    np.testing.assert_array_equal(program.operands, [2, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(program.numbers, [4.0])
    assert program.depth == 2


def test_the_stack_is_as_deep_as_the_deepest_expression() -> None:
    one = ORDERS.count
    nested = feature(expression=one - (one - (one - (one - one))))
    assert FeatureSet((nested,)).program.depth == 5


def test_plain_features_are_found_by_what_they_measure() -> None:
    visits = Signals("Page Viewed", "Application Opened")
    features = FeatureSet(
        (
            Feature("a", "A", "days", "web", visits.recency),
            Feature("b", "B", "days", "web", visits.distinct_days.ever),
            Feature("c", "C", "days", "web", visits.distinct_days.within(28)),
            Feature("d", "D", "days", "web", visits.recency / 2.0),
        )
    )
    events = ("Application Opened", "Page Viewed")
    assert dict(features.plain) == {(events, "recency"): "a", (events, "distinct_days"): "b"}
