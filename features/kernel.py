"""The only code that can compute a feature.

For each row it walks one customer's signals backwards from `as_of`. Windows that end at the
same moment are nested, so one running summary a selector is enough: when the walk passes the
far edge of a window, the summary at that moment is the window's, and is set aside. The cost
does not depend on how many windows there are.

Everything summed is an integer, and floats appear only in a feature's own arithmetic, without
fast-math: neither the order of simultaneous signals nor the machine can change a bit. With
``NUMBA_DISABLE_JIT=1`` the same lines run as plain Python, to the same bits.

Amounts and values are exact while their sums stay below 2**53 (9e13 currency units in cents).
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from features.algebra import Program
from features.signals import ABSENT, DAY, Int64Array

Float64Array = NDArray[np.float64]
Columns = tuple[Int64Array, Int64Array, Int64Array, Int64Array, Int64Array, Int64Array]
_Function = TypeVar("_Function", bound=Callable[..., object])

# Numbers of the operations: positions in `expressions.OPERATIONS`. Written out here, because the
# cached machine code is renewed only when this very file changes; a test compares the two.
ADD: Final = 0
SUBTRACT: Final = 1
MULTIPLY: Final = 2
DIVIDE: Final = 3
NUMBER: Final = 4
COUNT: Final = 5
SUM_AMOUNT: Final = 6
SUM_VALUE: Final = 7
DISTINCT_DAYS: Final = 8
DISTINCT_WEEKS: Final = 9
DISTINCT_CATEGORIES: Final = 10
ANSWERED: Final = 11
DECAYED_COUNT: Final = 12
RECENCY: Final = 13
AGE: Final = 14
LAST_VALUE: Final = 15
PREVIOUS_VALUE: Final = 16
DAYS_TO_LAST_VALUE: Final = 17
LAST_GAP: Final = 18
MEAN_GAP: Final = 19
GAP_DEVIATION: Final = 20
MEAN_WAIT: Final = 21

WEIGHT_ONE: Final = 2**30  # `decay.ONE`, written out for the same reason

# Columns of a summary: first what begins at 0 ...
_SIGNALS: Final = 0
_AMOUNT: Final = 1
_VALUE: Final = 2
_DAYS: Final = 3
_WEEKS: Final = 4
_CATEGORIES: Final = 5
_GAP_SQUARES: Final = 6
_WAITING: Final = 7
_WAITS: Final = 8
_ANSWERED: Final = 9
# ... then what is `ABSENT` until it is met.
_FIRST_MOMENT: Final = 10
_NEWEST: Final = 10
_BEFORE_NEWEST: Final = 11
_OLDEST: Final = 12
_DAY_SEEN: Final = 13
_WEEK_SEEN: Final = 14
_LAST_VALUE: Final = 15
_LAST_VALUE_AT: Final = 16
_PREVIOUS_VALUE: Final = 17
_PREVIOUS_VALUE_AT: Final = 18
_REPLY_AT: Final = 19
_WAITING_SINCE: Final = 20
_WIDTH: Final = 21


class _Scratch(NamedTuple):
    """Memory used again for every row."""

    kinds: Int64Array  # (longest,) kind of each signal of the customer in hand
    running: Int64Array  # (n_selectors, _WIDTH)
    aside: Int64Array  # (n_windows, _WIDTH)
    next_window: Int64Array  # (n_selectors,)
    decayed: Int64Array  # (n_decays,) sums of weights
    seen: Int64Array  # (a power of two, 3): category, selector, turn in which they met
    turn: Int64Array  # (1,) number of the row in hand, from 1
    stack: Float64Array  # (depth,)


def _machine_code(function: _Function) -> _Function:
    """`function`, compiled at its first call; the result is kept on disk beside this file."""
    return cast(_Function, njit(cache=True)(function))


@_machine_code
def _set_kinds(codes: Int64Array, events: Int64Array, kinds: Int64Array) -> None:
    """Kind of each event: 1 + its position in `codes`, 0 if it is not there."""
    for i in range(len(events)):
        low, high = 0, len(codes)
        while low < high:
            middle = (low + high) // 2
            if codes[middle] < events[i]:
                low = middle + 1
            else:
                high = middle
        kinds[i] = low + 1 if low < len(codes) and codes[low] == events[i] else 0


@_machine_code
def _in_time_order(occurred_at: Int64Array) -> bool:
    return not np.any(occurred_at[1:] < occurred_at[:-1])


@_machine_code
def _first_at_or_after(occurred_at: Int64Array, begin: int, end: int, moment: int) -> int:
    while begin < end:
        middle = (begin + end) // 2
        if occurred_at[middle] < moment:
            begin = middle + 1
        else:
            end = middle
    return begin


@_machine_code
def _is_new(category: int, selector: int, turn: int, seen: Int64Array) -> bool:
    """Whether this category meets this selector for the first time in this turn.

    A hash table with open addressing. Entries of earlier turns count as empty, so that it
    never needs clearing. Category codes are hashes already: their low bits are the address.
    """
    mask = len(seen) - 1
    place = (category ^ selector) & mask
    while seen[place, 2] == turn:
        if seen[place, 0] == category and seen[place, 1] == selector:
            return False
        place = (place + 1) & mask
    seen[place, 0] = category
    seen[place, 1] = selector
    seen[place, 2] = turn
    return True


@_machine_code
def _take_in(summary: Int64Array, time: int, day: int, week: int, amount: int, value: int) -> None:
    """Add one signal, no newer than those before, to a summary.

    `day` is counted from 1970, `week` backwards from `as_of`.
    """
    if summary[_SIGNALS] == 0:
        summary[_NEWEST] = time
    elif summary[_SIGNALS] == 1:
        summary[_BEFORE_NEWEST] = time
    summary[_SIGNALS] += 1
    summary[_OLDEST] = time
    if amount != ABSENT:
        summary[_AMOUNT] += amount
    if value != ABSENT:
        summary[_VALUE] += value
        _take_in_value(summary, time, value)
    if day != summary[_DAY_SEEN]:
        if summary[_DAYS] > 0:
            gap = summary[_DAY_SEEN] - day
            summary[_GAP_SQUARES] += gap * gap
        summary[_DAY_SEEN] = day
        summary[_DAYS] += 1
    if week != summary[_WEEK_SEEN]:
        summary[_WEEK_SEEN] = week
        summary[_WEEKS] += 1


@_machine_code
def _take_in_value(summary: Int64Array, time: int, value: int) -> None:
    """Keep the first two values in the order: later first, at one time smaller first."""
    if summary[_LAST_VALUE_AT] == ABSENT:
        summary[_LAST_VALUE_AT] = time
        summary[_LAST_VALUE] = value
    elif summary[_LAST_VALUE_AT] == time and value < summary[_LAST_VALUE]:
        summary[_PREVIOUS_VALUE_AT] = time
        summary[_PREVIOUS_VALUE] = summary[_LAST_VALUE]
        summary[_LAST_VALUE] = value
    elif summary[_PREVIOUS_VALUE_AT] == ABSENT or (
        summary[_PREVIOUS_VALUE_AT] == time and value < summary[_PREVIOUS_VALUE]
    ):
        summary[_PREVIOUS_VALUE_AT] = time
        summary[_PREVIOUS_VALUE] = value


@_machine_code
def _take_in_wait(summary: Int64Array, time: int, is_reply: bool) -> None:
    """Add one signal that waits, or that ends the waits of those before it."""
    reply_at, waiting = summary[_REPLY_AT], 0
    if summary[_WAITING_SINCE] == time:
        waiting = summary[_WAITING]
    if is_reply:
        # Those of the same moment, met before it, waited for a later reply, or for none.
        if reply_at == ABSENT:
            summary[_ANSWERED] += waiting
        else:
            summary[_WAITS] -= waiting * (reply_at - time)
        summary[_REPLY_AT] = time
        return
    summary[_WAITING_SINCE] = time
    summary[_WAITING] = waiting + 1
    if reply_at != ABSENT:
        summary[_WAITS] += reply_at - time
        summary[_ANSWERED] += 1


@_machine_code
def _add_weight(total: int, age: int, start: int, stop: int, weights: Int64Array) -> int:
    """`total` and the weight of a signal so many whole days old."""
    return total + weights[start + age] if start + age < stop else total


@_machine_code
def _clear(program: Program, scratch: _Scratch) -> None:
    """Make room for the next row."""
    running = scratch.running
    running[:, :] = 0
    for selector in range(len(running)):
        for column in range(_FIRST_MOMENT, _WIDTH):
            running[selector, column] = ABSENT
    scratch.decayed[:] = 0
    scratch.next_window[:] = program.window_starts[:-1]
    scratch.turn[0] += 1


@_machine_code
def _summarise(
    program: Program, columns: Columns, begin: int, end: int, moment: int, scratch: _Scratch
) -> None:
    """Fill `scratch.aside` with the summary of every window at `moment`."""
    _, occurred_at, received_at, amount, value, category = columns
    running, next_window = scratch.running, scratch.next_window
    _clear(program, scratch)
    for i in range(_first_at_or_after(occurred_at, begin, end, moment) - 1, begin - 1, -1):
        if received_at[i] >= moment:
            continue  # it had not arrived: nobody could have known
        kind, time = scratch.kinds[i - begin], occurred_at[i]
        day, week, age = time // DAY, (moment - 1 - time) // (7 * DAY), (moment - time) // DAY
        for k in range(program.kind_starts[kind], program.kind_starts[kind + 1]):
            selector = program.kind_selectors[k]
            window, stop = next_window[selector], program.window_starts[selector + 1]
            while window < stop and time < moment - program.window_lengths[window]:
                scratch.aside[window] = running[selector]
                window += 1
            next_window[selector] = window
            if window == stop:
                continue  # it is older than the selector's longest window
            reply_kind = program.reply_kinds[selector]
            if reply_kind >= 0:
                _take_in_wait(running[selector], time, kind == reply_kind)
                continue
            _take_in(running[selector], time, day, week, amount[i], value[i])
            for decay in range(program.decay_starts[selector], program.decay_starts[selector + 1]):
                scratch.decayed[decay] = _add_weight(
                    scratch.decayed[decay],
                    age,
                    program.weight_starts[decay],
                    program.weight_stops[decay],
                    program.weights,
                )
            if program.keeps_categories[selector] and category[i] != 0:
                is_new = _is_new(category[i], selector, scratch.turn[0], scratch.seen)
                running[selector, _CATEGORIES] += is_new
    _set_aside(next_window, program.window_starts, running, scratch.aside)


@_machine_code
def _set_aside(
    next_window: Int64Array, window_starts: Int64Array, running: Int64Array, aside: Int64Array
) -> None:
    """Give every window whose far edge was not passed the whole of its selector's summary."""
    for selector in range(len(next_window)):
        for window in range(next_window[selector], window_starts[selector + 1]):
            aside[window] = running[selector]


@_machine_code
def _amount_measured(operation: int, summary: Int64Array) -> float:
    """A measure that is 0 where there is nothing."""
    if operation == COUNT:
        return float(summary[_SIGNALS])
    if operation == SUM_AMOUNT:
        return float(summary[_AMOUNT])
    if operation == SUM_VALUE:
        return float(summary[_VALUE])
    if operation == DISTINCT_DAYS:
        return float(summary[_DAYS])
    if operation == DISTINCT_WEEKS:
        return float(summary[_WEEKS])
    if operation == ANSWERED:
        return float(summary[_ANSWERED])
    return float(summary[_CATEGORIES])


@_machine_code
def _moment_measured(operation: int, summary: Int64Array, moment: int) -> float:
    """A measure that is NaN where there is nothing: days, or a value."""
    signals = summary[_SIGNALS]
    if operation == RECENCY and signals > 0:
        return float(moment - summary[_NEWEST]) / float(DAY)
    if operation == AGE and signals > 0:
        return float(moment - summary[_OLDEST]) / float(DAY)
    if operation == LAST_GAP and signals > 1:
        return float(summary[_NEWEST] - summary[_BEFORE_NEWEST]) / float(DAY)
    if operation == MEAN_GAP and signals > 1:
        # One division, so that the quotient is rounded once.
        return float(summary[_NEWEST] - summary[_OLDEST]) / float((signals - 1) * DAY)
    if operation == LAST_VALUE and summary[_LAST_VALUE_AT] != ABSENT:
        return float(summary[_LAST_VALUE])
    if operation == PREVIOUS_VALUE and summary[_PREVIOUS_VALUE_AT] != ABSENT:
        return float(summary[_PREVIOUS_VALUE])
    if operation == DAYS_TO_LAST_VALUE and summary[_LAST_VALUE_AT] != ABSENT:
        return float(summary[_LAST_VALUE] - moment) / float(DAY)
    if operation == GAP_DEVIATION and summary[_DAYS] > 2:
        return _gap_deviation(summary)
    if operation == MEAN_WAIT and summary[_ANSWERED] > 0:
        return float(summary[_WAITS]) / float(summary[_ANSWERED] * DAY)
    return np.nan


@_machine_code
def _gap_deviation(summary: Int64Array) -> float:
    """Exact in integers up to the last division and the root, which IEEE 754 rounds alike."""
    gaps = summary[_DAYS] - 1
    days = summary[_NEWEST] // DAY - summary[_DAY_SEEN]
    squares = gaps * summary[_GAP_SQUARES] - days * days
    return math.sqrt(float(squares) / float(gaps * (gaps - 1)))


@_machine_code
def _combined(operation: int, left: float, right: float) -> float:
    if operation == ADD:
        return left + right
    if operation == SUBTRACT:
        return left - right
    if operation == MULTIPLY:
        return left * right
    if right == 0.0:
        return np.nan  # a share of nothing is unknown, not infinite
    return left / right


@_machine_code
def _evaluate(program: Program, moment: int, scratch: _Scratch, row: Float64Array) -> None:
    """Run each feature's steps over the summaries set aside."""
    stack = scratch.stack
    for feature in range(len(row)):
        top = 0
        for step in range(program.step_starts[feature], program.step_starts[feature + 1]):
            operation, operand = program.operations[step], program.operands[step]
            if operation <= DIVIDE:
                top -= 1
                stack[top - 1] = _combined(operation, stack[top - 1], stack[top])
                continue
            if operation == NUMBER:
                stack[top] = program.numbers[operand]
            elif operation == DECAYED_COUNT:
                stack[top] = float(scratch.decayed[operand]) / float(WEIGHT_ONE)
            elif operation <= ANSWERED:
                stack[top] = _amount_measured(operation, scratch.aside[operand])
            else:
                stack[top] = _moment_measured(operation, scratch.aside[operand], moment)
            top += 1
        row[feature] = stack[0]


@_machine_code
def _scratch(program: Program, longest: int) -> _Scratch:
    """Memory for customers of at most `longest` signals."""
    n_selectors = len(program.keeps_categories)
    # At least twice as many places as entries keep the hash table's chains short.
    entries = 2 * longest * program.keeps_categories.sum() + 1
    places = 1
    while places < entries:
        places *= 2
    return _Scratch(
        np.empty(longest, dtype=np.int64),
        np.empty((n_selectors, _WIDTH), dtype=np.int64),
        np.empty((len(program.window_lengths), _WIDTH), dtype=np.int64),
        np.empty(n_selectors, dtype=np.int64),
        np.empty(len(program.weight_starts), dtype=np.int64),
        np.zeros((places, 3), dtype=np.int64),
        np.zeros(1, dtype=np.int64),
        np.empty(program.depth, dtype=np.float64),
    )


@_machine_code
def sweep(
    program: Program,
    columns: Columns,
    starts: Int64Array,
    customers: Int64Array,
    as_of: Int64Array,
    out: Float64Array,
) -> int:
    """Fill `out` with one row of features a (customer, as_of) pair.

    Arguments are trusted: `features.batch` checks them.

    Parameters
    ----------
    program : Program
    columns : six ndarrays of int64, shape (n_signals,)
        In the order of `SignalColumns`; each customer's sorted by time.
    starts : ndarray of int64, shape (n_customers + 1,)
    customers, as_of : ndarray of int64, shape (n_rows,)
    out : ndarray of float64, shape (n_rows, n_features)

    Returns
    -------
    int
        -1, or the first row whose customer's signals are not in order of time.
    """
    longest = 0
    for customer in customers:
        longest = max(longest, starts[customer + 1] - starts[customer])
    scratch = _scratch(program, longest)
    in_hand = -1
    for row in range(len(customers)):
        begin, end = starts[customers[row]], starts[customers[row] + 1]
        if customers[row] != in_hand:
            in_hand = customers[row]
            if not _in_time_order(columns[1][begin:end]):
                return row
            _set_kinds(program.codes, columns[0][begin:end], scratch.kinds)
        _summarise(program, columns, begin, end, as_of[row], scratch)
        _evaluate(program, as_of[row], scratch, out[row])
    return -1
