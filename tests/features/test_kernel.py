"""The kernel's every operation against brute force, and its promises about bits."""

import hashlib
import math
import os
import statistics
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from math import nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import kernel
from features.algebra import Feature, FeatureSet
from features.batch import UnusableRows, UnusableSignals, feature_matrix, feature_row
from features.decay import HALF_LIVES, ONE
from features.definitions import FEATURES
from features.expressions import MEASURES, OPERATIONS, Expression, Signals
from features.signals import ABSENT, DAY, EMPTY, SignalColumns, SignalLog, code

ROOT = Path(__file__).parents[2]
AS_OF = 1_700_000_000_000_000
OPENED, SENT, OTHER = code("Email Opened"), code("Email Sent"), code("Something Else")
Signal = tuple[int, int, int, int, int, int]


def named(name: str, expression: Expression) -> Feature:
    return Feature(name, name, "unit", "web", expression)


def columns(signals: list[Signal]) -> SignalColumns:
    ordered = sorted(signals, key=lambda signal: signal[1])
    return SignalColumns(*np.array(ordered, dtype=np.int64).reshape(-1, 6).T)


def value_of(expression: Expression, signals: list[Signal], as_of: int = AS_OF) -> float:
    return float(feature_row(FeatureSet((named("x", expression),)), columns(signals), as_of)[0])


def opened(before: int, amount: int = ABSENT, value: int = ABSENT, category: int = 0) -> Signal:
    return (OPENED, AS_OF - before, AS_OF - before, amount, value, category)


def brute_force(operation: str, signals: list[Signal]) -> float:
    """One measure over the signals that count, from its docstring."""
    times = sorted(signal[1] for signal in signals)
    stated = [signal for signal in signals if signal[4] != ABSENT]
    newest = [s[4] for s in stated if s[1] == max(t[1] for t in stated)]
    ranked = [s[4] for s in sorted(stated, key=lambda s: (-s[1], s[4]))]
    gaps = [late - early for early, late in pairwise(times)]
    day_gaps = [late - early for early, late in pairwise(sorted({t // DAY for t in times}))]
    answers = {
        "count": lambda: len(signals),
        "sum_amount": lambda: sum(s[3] for s in signals if s[3] != ABSENT),
        "sum_value": lambda: sum(s[4] for s in stated),
        "distinct_days": lambda: len({time // DAY for time in times}),
        "distinct_weeks": lambda: len({(AS_OF - 1 - time) // (7 * DAY) for time in times}),
        "distinct_categories": lambda: len({s[5] for s in signals} - {0}),
        "recency": lambda: Fraction(AS_OF - times[-1], DAY) if times else nan,
        "age": lambda: Fraction(AS_OF - times[0], DAY) if times else nan,
        "last_value": lambda: min(newest) if newest else nan,
        "previous_value": lambda: ranked[1] if len(ranked) > 1 else nan,
        "days_to_last_value": lambda: Fraction(min(newest) - AS_OF, DAY) if newest else nan,
        "last_gap": lambda: Fraction(gaps[-1], DAY) if gaps else nan,
        "mean_gap": lambda: Fraction(sum(gaps), len(gaps) * DAY) if gaps else nan,
        # Squared by the library it is exact in fractions, and its root is rounded once.
        "gap_deviation": lambda: (
            math.sqrt(statistics.variance(map(Fraction, day_gaps))) if len(day_gaps) > 1 else nan
        ),
    }
    return float(answers[operation]())


SELECTORS = {
    "opened": (Signals("Email Opened"), {OPENED}),
    "both": (Signals("Email Opened", "Email Sent"), {OPENED, SENT}),
    "anything": (Signals.any(), {OPENED, SENT, OTHER}),
}
WINDOWS = (1, 3, 30, None)
# These take a half life or a reply, and have tests of their own below.
PLAIN = [m for m in MEASURES if m not in ("decayed_count", "answered", "mean_wait")]
ALL_MEASURES = FeatureSet(
    tuple(
        named(
            f"{operation}_{name}_{days or 'ever'}",
            getattr(selector, operation).within(days) if days else getattr(selector, operation),
        )
        for operation in PLAIN
        for name, (selector, _) in SELECTORS.items()
        for days in WINDOWS
    )
)
before_as_of = st.sampled_from(
    [days * DAY + off for days in (0, 1, 3, 30) for off in (-1, 0, 1)]
) | st.integers(-DAY, 40 * DAY)
signal = st.builds(
    lambda event, before, late, amount, value, category: (
        *(event, AS_OF - before, AS_OF - before + late),
        *(amount, value, category),
    ),
    st.sampled_from([OPENED, OPENED, SENT, OTHER]),
    before_as_of,
    st.sampled_from([0, 0, 1, 2 * DAY, -1, -DAY]),  # clocks differ: some arrive too early
    st.just(ABSENT) | st.integers(-(10**9), 10**9),
    st.just(ABSENT) | st.integers(-(10**6), 10**6),
    # Codes that differ only above the hash table's mask, its extremes, and none.
    st.sampled_from([0, 1, 1 + 2**40, 1 + 2**50, -(2**63), 2**63 - 1]),
)


def test_the_kernel_numbers_its_operations_as_the_algebra_does() -> None:
    numbers = [getattr(kernel, operation.upper()) for operation in OPERATIONS]
    assert numbers == list(range(len(OPERATIONS)))
    assert kernel.WEIGHT_ONE == ONE


@settings(max_examples=300, deadline=None)
@given(st.lists(signal, max_size=25))
def test_every_operation_over_every_window_is_what_brute_force_finds(
    signals: list[Signal],
) -> None:
    known = [s for s in signals if s[1] < AS_OF and s[2] < AS_OF]
    expected = [
        brute_force(
            operation,
            [s for s in known if s[0] in codes and (not days or s[1] >= AS_OF - days * DAY)],
        )
        for operation in PLAIN
        for _, codes in SELECTORS.values()
        for days in WINDOWS
    ]
    found = feature_row(ALL_MEASURES, columns(signals), AS_OF)
    np.testing.assert_array_equal(found, expected)


def test_the_far_edge_of_a_window_is_inside_and_as_of_is_not() -> None:
    in_seven_days = Signals("Email Opened").count.within(7)
    assert value_of(in_seven_days, [opened(7 * DAY)]) == 1
    assert value_of(in_seven_days, [opened(7 * DAY + 1)]) == 0
    assert value_of(in_seven_days, [opened(1)]) == 1
    assert value_of(in_seven_days, [opened(0)]) == 0


def test_a_late_arrival_counts_only_from_the_moment_after_it_arrived() -> None:
    late = [(OPENED, AS_OF - 10 * DAY, AS_OF, ABSENT, ABSENT, 0)]
    opens = Signals("Email Opened").count
    assert value_of(opens, late, AS_OF) == 0
    assert value_of(opens, late, AS_OF + 1) == 1


def test_a_signal_that_seems_to_arrive_before_it_occurred_waits_for_its_time() -> None:
    early = [(OPENED, AS_OF, AS_OF - DAY, ABSENT, ABSENT, 0)]
    opens = Signals("Email Opened").count
    assert value_of(opens, early, AS_OF) == 0
    assert value_of(opens, early, AS_OF + 1) == 1


def test_the_last_value_among_simultaneous_ones_is_the_smallest() -> None:
    last = Signals("Email Opened").last_value
    assert value_of(last, [opened(5, value=7), opened(5, value=-3), opened(5)]) == -3
    assert value_of(last, [opened(5), opened(6, value=7)]) == 7


def test_weeks_end_at_as_of_and_begin_at_their_far_edge() -> None:
    weeks = Signals("Email Opened").distinct_weeks
    assert value_of(weeks, [opened(1), opened(7 * DAY)]) == 1
    assert value_of(weeks, [opened(1), opened(7 * DAY + 1)]) == 2
    every_day = [opened(day * DAY) for day in range(1, 85)]
    assert value_of(weeks.within(84), every_day) == 12


def test_the_previous_value_is_the_one_before_the_last_and_the_next_smallest_at_once() -> None:
    previous = Signals("Email Opened").previous_value
    assert value_of(previous, [opened(5, value=7), opened(6, value=-3), opened(5)]) == -3
    assert value_of(previous, [opened(5, value=7), opened(5, value=9), opened(6, value=1)]) == 9
    np.testing.assert_equal(value_of(previous, [opened(5, value=7)]), nan)


def test_a_decayed_count_is_a_sum_of_powers_of_one_half() -> None:
    for half_life in HALF_LIVES:
        fading = Signals("Email Opened").decayed_count(half_life)
        two_halvings = [opened(2 * half_life * DAY + 5), opened(half_life * DAY), opened(1)]
        assert value_of(fading, two_halvings) == 1.75
        assert value_of(fading, [opened(31 * half_life * DAY)]) == 0  # less than can be kept
        ages = [1, 8, 30, 100, 365]
        by_formula = sum(2 ** (-age / half_life) for age in ages)
        found = value_of(fading, [opened(age * DAY) for age in ages])
        assert found == pytest.approx(by_formula, abs=len(ages) * 1.5 / 2**30)


def test_a_decayed_count_is_the_same_all_day_and_looks_at_any_age() -> None:
    fading = Signals("Email Opened").decayed_count(21)
    a_day = [value_of(fading, [opened(3 * DAY + off)]) for off in (0, 1, DAY // 2, DAY - 1)]
    assert len(set(a_day)) == 1
    assert value_of(fading, [opened(4 * DAY)]) < a_day[0]
    assert value_of(fading, [opened(3000 * DAY), opened(36_500 * DAY)]) == 0


def test_two_half_lives_of_two_selectors_are_kept_apart() -> None:
    both = FeatureSet(
        (
            named("a", Signals("Email Opened").decayed_count(7)),
            named("b", Signals("Email Sent").decayed_count(60)),
            named("c", Signals("Email Opened").decayed_count(60)),
            named("d", Signals("Email Opened").count.within(3)),
        )
    )
    past = columns([opened(7 * DAY), (SENT, AS_OF - 120 * DAY, 0, ABSENT, ABSENT, 0)])
    row = feature_row(both, past, AS_OF)
    assert row.tolist() == [0.5, 0.25, pytest.approx(2 ** (-7 / 60)), 0]


waits = st.lists(
    st.tuples(st.sampled_from([SENT, SENT, OPENED, OTHER]), st.integers(1, 12) | before_as_of),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(waits)
def test_a_wait_lasts_until_the_next_reply_at_once_included(past: list[tuple[int, int]]) -> None:
    signals = [(event, AS_OF - at, AS_OF - at, ABSENT, ABSENT, 0) for event, at in past]
    for days in WINDOWS:
        sent = [s[1] for s in signals if s[0] == SENT and s[1] < AS_OF]
        sent = [time for time in sent if not days or time >= AS_OF - days * DAY]
        replies = sorted(s[1] for s in signals if s[0] == OPENED and s[1] < AS_OF)
        found = [next((r - time for r in replies if r >= time), None) for time in sent]
        waited = [wait for wait in found if wait is not None]
        mean = float(Fraction(sum(waited), len(waited) * DAY)) if waited else nan
        for expression, expected in (
            (Signals("Email Sent").answered("Email Opened"), len(waited)),
            (Signals("Email Sent").mean_wait("Email Opened"), mean),
        ):
            within = expression.within(days) if days else expression
            np.testing.assert_equal(value_of(within, signals), expected)


def test_many_categories_are_counted_apart() -> None:
    categories = [opened(n + 1, category=code(f"category {n % 700}")) for n in range(2000)]
    assert value_of(Signals("Email Opened").distinct_categories, categories) == 700


def test_a_share_of_nothing_is_nan_never_infinite() -> None:
    opens, sends = Signals("Email Opened"), Signals("Email Sent")
    np.testing.assert_equal(value_of(opens.count / sends.count, []), nan)
    np.testing.assert_equal(value_of(opens.count / sends.count, [opened(5)]), nan)


def test_arithmetic_keeps_the_order_of_its_operands() -> None:
    opens = Signals("Email Opened").count
    two = [opened(5), opened(6)]
    assert value_of(opens - 5, two) == -3
    assert value_of(5 - opens, two) == 3
    assert value_of(opens / 8, two) == 0.25
    assert value_of(8 / opens, two) == 4
    assert value_of(1 + opens * 3, two) == 7
    assert value_of(3 * (opens + 1), two) == 9
    assert value_of(100 - (opens - (1 - opens)), two) == 97


def test_times_before_1970_fall_on_their_own_days() -> None:
    past = [(OPENED, time, time, ABSENT, ABSENT, 0) for time in (-1, -DAY, -DAY - 1, 0)]
    assert value_of(Signals("Email Opened").distinct_days, past) == 3


def busy_log(people: int = 12) -> SignalLog:
    rng = np.random.default_rng(20)
    lengths = rng.integers(0, 60, people)
    lengths[3] = 0
    n = int(lengths.sum())
    names = ("Order Completed", "Email Sent", "Email Opened", "Page Viewed", "Ticket Opened")
    occurred = AS_OF - rng.integers(0, 400 * DAY, n)
    person = np.repeat(np.arange(people), lengths)
    occurred = occurred[np.lexsort((occurred, person))]
    return SignalLog(
        tuple(f"C-{number:03}" for number in range(people)),
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        SignalColumns(
            rng.choice([code(name) for name in names], n),
            occurred,
            occurred + rng.choice([0, DAY, 30 * DAY], n),
            rng.integers(-500, 90_000, n),
            rng.choice([ABSENT, 250, 9000], n),
            rng.choice([0, code("tea"), code("cups")], n),
        ),
    )


WITHOUT_COMPILER = """
import sys
import numpy as np
import features.kernel
from features.batch import feature_matrix
from features.definitions import FEATURES
from features.signals import SignalColumns, SignalLog
assert not hasattr(features.kernel.sweep, "signatures"), "it was compiled"
found = np.load(sys.argv[1])
names = tuple(str(name) for name in found["names"])
log = SignalLog(names, found["starts"], SignalColumns(*found["columns"]))
sys.stdout.write(FEATURES.fingerprint)
sys.stdout.flush()
np.save(sys.argv[2], feature_matrix(FEATURES, log, found["customers"], found["as_of"]))
"""


def test_plain_python_gives_the_same_bits_and_fingerprint(tmp_path: Path) -> None:
    log = busy_log()
    customers = np.repeat(np.arange(len(log)), 3)
    as_of = np.tile(AS_OF - np.array([0, 20 * DAY, 200 * DAY]), len(log))
    np.savez(
        tmp_path / "asked.npz",
        names=np.array(log.customer_ids),
        starts=log.starts,
        columns=np.stack(log.columns.columns()),
        customers=customers,
        as_of=as_of,
    )
    asked, answered = str(tmp_path / "asked.npz"), str(tmp_path / "answered.npy")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_COMPILER, asked, answered],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == FEATURES.fingerprint
    compiled = feature_matrix(FEATURES, log, customers, as_of)
    plain = np.load(answered)
    assert hashlib.sha256(plain.tobytes()).digest() == hashlib.sha256(compiled.tobytes()).digest()
    assert np.isfinite(compiled).mean() > 0.5  # the bits compared are numbers, not absences


def test_a_row_without_signals_is_zeros_and_nans() -> None:
    opens = Signals("Email Opened")
    both = FeatureSet((named("a", opens.count), named("b", opens.recency)))
    np.testing.assert_array_equal(feature_row(both, EMPTY, AS_OF), [0.0, nan])


def test_no_rows_asked_for_are_no_rows() -> None:
    nobody = np.empty(0, dtype=np.int64)
    assert feature_matrix(FEATURES, busy_log(), nobody, nobody).shape == (0, len(FEATURES))


def test_arrays_of_other_integers_and_strides_give_the_same_bits() -> None:
    log = busy_log()
    customers, as_of = np.arange(len(log)), np.full(len(log), AS_OF)
    strided = SignalColumns(*(np.repeat(column, 2)[::2] for column in log.columns.columns()))
    other = SignalLog(log.customer_ids, log.starts.astype(np.int32), strided)
    plain = feature_matrix(FEATURES, log, customers, as_of)
    assert (
        plain.tobytes()
        == feature_matrix(FEATURES, other, customers.astype(np.int32), as_of).tobytes()
    )


def unsorted_columns() -> SignalColumns:
    times = np.array([AS_OF - 5, AS_OF - 9])
    ones = np.ones(2, dtype=np.int64)
    return SignalColumns(ones, times, times, ones, ones, ones)


def test_unsorted_signals_are_refused() -> None:
    with pytest.raises(UnusableSignals, match="customer in hand are not sorted by occurred_at"):
        feature_row(FEATURES, unsorted_columns(), AS_OF)
    log = SignalLog(("A", "B"), np.array([0, 0, 2]), unsorted_columns())
    with pytest.raises(UnusableSignals, match="customer B are not sorted"):
        feature_matrix(FEATURES, log, np.array([0, 1]), np.array([AS_OF, AS_OF]))


def test_columns_of_different_lengths_are_refused() -> None:
    short = SignalColumns(*EMPTY.columns()[:5], np.ones(1, dtype=np.int64))
    with pytest.raises(UnusableSignals, match=r"lengths \[0, 1\]; all six must be equally long"):
        feature_row(FEATURES, short, AS_OF)


@pytest.mark.parametrize("starts", [[0, 1], [0, 1, 3], [1, 1, 2], [0, 3, 2]])
def test_boundaries_that_do_not_fit_are_refused(starts: list[int]) -> None:
    log = SignalLog(("A", "B"), np.array(starts), unsorted_columns())
    with pytest.raises(UnusableSignals, match="the log's boundaries do not fit"):
        feature_matrix(FEATURES, log, np.array([0]), np.array([AS_OF]))


@pytest.mark.parametrize(
    ("customers", "as_of", "words"),
    [
        ([0, 1], [AS_OF], r"shape \(2,\) and as_of \(1,\); both must be \(n_rows,\)"),
        ([[0]], [[AS_OF]], r"shape \(1, 1\)"),
        ([0, 12], [AS_OF, AS_OF], "run from 0 to 12; the log holds 12, numbered from 0"),
        ([-1], [AS_OF], "run from -1 to -1"),
    ],
)
def test_rows_that_cannot_be_are_refused(
    customers: list[int], as_of: list[int], words: str
) -> None:
    with pytest.raises(UnusableRows, match=words):
        feature_matrix(FEATURES, busy_log(), np.array(customers), np.array(as_of))
