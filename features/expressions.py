"""Expressions over signals: signal x operation x window.

``(Signals("Email Opened").count / Signals("Email Sent").count).within(90)`` is an expression:
words that `features.algebra` compiles and `features.kernel` computes. Nothing is computed here.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Final

from features.decay import HALF_LIVES
from features.signals import BY_MACHINE, KEYED_BY, KNOWN_EVENTS, MACHINE, VALUE_SOURCE

# The position of each word is its number in the kernel's program.
OPERATIONS: Final = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "number",
    "count",
    "sum_amount",
    "sum_value",
    "distinct_days",
    "distinct_weeks",
    "distinct_categories",
    "answered",
    "decayed_count",
    "recency",
    "age",
    "last_value",
    "previous_value",
    "days_to_last_value",
    "last_gap",
    "mean_gap",
    "gap_deviation",
    "mean_wait",
)
MEASURES: Final = OPERATIONS[5:]

EVER: Final = 0  # window of a measure that looks at the whole past


class UnknownEvent(LookupError):
    """A definition names an event that the signal contract does not know."""


class InvalidWindow(ValueError):
    """A window is not a whole number of days, or an expression is given a second one."""


class InvalidHalfLife(ValueError):
    """A half life of which no weights are kept."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One integer quantity: an operation over some events within a window.

    Attributes
    ----------
    events : tuple of str
        Event keys, sorted; empty: every signal, whatever its event.
    operation : str
        One of `MEASURES`.
    window : int or None
        Days before `as_of`, `EVER`, or None where nothing was said (read as ever).
    reply : str
        Event key that ends a wait; empty where the operation knows no waits.
    half_life : int
        Days after which a signal counts half; 0 where all count alike.
    """

    events: tuple[str, ...]
    operation: str
    window: int | None = None
    reply: str = ""
    half_life: int = 0

    def text(self) -> str:
        """Canonical form, part of the fingerprint."""
        events = " | ".join(self.events) or "any"
        if self.reply:
            events += f" until {self.reply}"
        if self.half_life:
            return f"{self.operation}({events}; half life {self.half_life})"
        values = " | ".join(VALUE_SOURCE.get(event.split("/")[0], "-") for event in self.events)
        source = f" of {values}" if self.operation in _READ_VALUE else ""
        return f"{self.operation}({events}; {self.window or 'ever'}){source}"


_READ_VALUE: Final = ("sum_value", "last_value", "previous_value", "days_to_last_value")


@dataclass(frozen=True, slots=True)
class Expression:
    """Measures, numbers and arithmetic in postfix order, as the kernel runs them.

    Division by zero gives NaN, and NaN passes through all arithmetic.
    """

    steps: tuple[Measure | float | str, ...]

    def __add__(self, other: "Expression | float") -> "Expression":
        return self._joined(other, "add")

    def __sub__(self, other: "Expression | float") -> "Expression":
        return self._joined(other, "subtract")

    def __mul__(self, other: "Expression | float") -> "Expression":
        return self._joined(other, "multiply")

    def __truediv__(self, other: "Expression | float") -> "Expression":
        return self._joined(other, "divide")

    def __radd__(self, other: float) -> "Expression":
        return _as_expression(other)._joined(self, "add")

    def __rsub__(self, other: float) -> "Expression":
        return _as_expression(other)._joined(self, "subtract")

    def __rmul__(self, other: float) -> "Expression":
        return _as_expression(other)._joined(self, "multiply")

    def __rtruediv__(self, other: float) -> "Expression":
        return _as_expression(other)._joined(self, "divide")

    def _joined(self, other: "Expression | float", operation: str) -> "Expression":
        return Expression((*self.steps, *_as_expression(other).steps, operation))

    @property
    def ever(self) -> "Expression":
        """The same over the whole past, said aloud."""
        return self._windowed(EVER)

    def within(self, days: int) -> "Expression":
        """The same over ``[as_of - days, as_of)``.

        Raises
        ------
        InvalidWindow
            If `days` is no positive whole number, or a window was given before.
        """
        if isinstance(days, bool) or not isinstance(days, int) or not 0 < days <= 36_500:
            raise InvalidWindow(
                f"window of {days!r} days; must be a whole number from 1 to 36500 "
                "(a hundred years); write .ever for the whole past"
            )
        return self._windowed(days)

    def over(self, *days: int) -> "tuple[Expression, ...]":
        """The same within each of several windows.

        Raises
        ------
        InvalidWindow
            As `within`.
        """
        return tuple(self.within(window) for window in days)

    def _windowed(self, window: int) -> "Expression":
        steps: list[Measure | float | str] = []
        for step in self.steps:
            if isinstance(step, Measure):
                if step.window is not None:
                    raise InvalidWindow(
                        f"{step.text()} has a window already; each measure takes one; "
                        "give the window to the whole expression, or to each part, not to both"
                    )
                step = replace(step, window=window)
            steps.append(step)
        return Expression(tuple(steps))

    def text(self) -> str:
        """Canonical form, part of the fingerprint."""
        words = (
            step.text()
            if isinstance(step, Measure)
            else step
            if isinstance(step, str)
            else step.hex()
            for step in self.steps
        )
        return " ".join(words)


def _as_expression(value: Expression | float) -> Expression:
    return value if isinstance(value, Expression) else Expression((float(value),))


class Signals:
    """Signals of one or more event keys, of which expressions are made.

    Parameters
    ----------
    *event_keys : str
        Such as ``"Order Completed"`` or ``"Survey Answered/nps"``; their order is of no
        consequence.

    Raises
    ------
    UnknownEvent
        If a key is no known event, or carries a word its event does not take.
    """

    __slots__ = ("events",)

    def __init__(self, *event_keys: str) -> None:
        if not event_keys:
            raise UnknownEvent("Signals() names no event; name one, or write Signals.any()")
        for key in event_keys:
            _check_event_key(key)
        self.events = tuple(sorted(set(event_keys)))

    @classmethod
    def any(cls) -> "Signals":
        """Every signal of a customer, unknown events included."""
        signals = cls.__new__(cls)
        signals.events = ()
        return signals

    def _measure(self, operation: str) -> Expression:
        return Expression((Measure(self.events, operation),))

    @property
    def count(self) -> Expression:
        """Number of signals; 0 if none."""
        return self._measure("count")

    @property
    def sum_amount(self) -> Expression:
        """Sum of the amounts in minor currency units; 0 if none."""
        return self._measure("sum_amount")

    @property
    def sum_value(self) -> Expression:
        """Sum of the integer values (`VALUE_SOURCE`); 0 if none."""
        return self._measure("sum_value")

    @property
    def distinct_days(self) -> Expression:
        """Number of UTC calendar days with a signal; 0 if none."""
        return self._measure("distinct_days")

    @property
    def distinct_weeks(self) -> Expression:
        """Number of weeks with a signal, counted back from `as_of`; 0 if none."""
        return self._measure("distinct_weeks")

    @property
    def distinct_categories(self) -> Expression:
        """Number of different categories; signals without one are left out; 0 if none."""
        return self._measure("distinct_categories")

    @property
    def recency(self) -> Expression:
        """Days since the last signal; NaN if none."""
        return self._measure("recency")

    @property
    def age(self) -> Expression:
        """Days since the first signal; NaN if none."""
        return self._measure("age")

    @property
    def last_value(self) -> Expression:
        """Value of the latest signal that has one; the smallest among ties; NaN if none."""
        return self._measure("last_value")

    @property
    def previous_value(self) -> Expression:
        """Value before `last_value`; among simultaneous ones the next smallest; NaN if none."""
        return self._measure("previous_value")

    @property
    def days_to_last_value(self) -> Expression:
        """Days from `as_of` to the time that `last_value` holds; negative if past."""
        return self._measure("days_to_last_value")

    @property
    def last_gap(self) -> Expression:
        """Days between the last two signals; NaN with fewer than two."""
        return self._measure("last_gap")

    @property
    def mean_gap(self) -> Expression:
        """Mean days between successive signals; NaN with fewer than two."""
        return self._measure("mean_gap")

    @property
    def gap_deviation(self) -> Expression:
        """Standard deviation of the whole days between successive days with a signal.

        Divided by the number of gaps less one; NaN with fewer than three such days.
        """
        return self._measure("gap_deviation")

    def decayed_count(self, half_life: int) -> Expression:
        """Number of signals, each counting half as much for every `half_life` days of age.

        Ages are whole days, so the count does not change within a day. It looks at the whole
        past and takes no window. 0 if none.

        Raises
        ------
        InvalidHalfLife
            If no weights of this half life are kept in `features.decay`.
        """
        if half_life not in HALF_LIVES:
            raise InvalidHalfLife(
                f"half life of {half_life!r} days; weights are kept for "
                f"{', '.join(map(str, HALF_LIVES))}; choose one, or add a row to FIRST_HALVING"
            )
        return Expression((Measure(self.events, "decayed_count", EVER, half_life=half_life),))

    def mean_wait(self, reply: str) -> Expression:
        """Mean days from a signal to the next `reply`, at once included; NaN without any.

        A signal that has no reply yet is left out: see `answered`.

        Raises
        ------
        UnknownEvent
            As `Signals`, or if a reply is one of these signals itself.
        """
        return Expression((self._waiting("mean_wait", reply),))

    def answered(self, reply: str) -> Expression:
        """Number of signals with a `reply` at once or later; 0 if none.

        Raises
        ------
        UnknownEvent
            As `mean_wait`.
        """
        return Expression((self._waiting("answered", reply),))

    def _waiting(self, operation: str, reply: str) -> Measure:
        _check_event_key(reply)
        if reply in self.events or not self.events:
            raise UnknownEvent(
                f"'{reply}' would be its own reply; a reply is another event than those that "
                "wait for it; name the two apart"
            )
        return Measure(self.events, operation, reply=reply)


def _check_event_key(key: str) -> None:
    event, slash, word = key.partition("/")
    if event not in KNOWN_EVENTS:
        near = difflib.get_close_matches(event, sorted(KNOWN_EVENTS), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "add it to KNOWN_EVENTS in signals.py"
        raise UnknownEvent(f"event '{event}' is not in the signal contract; {hint}")
    if event in BY_MACHINE and word == MACHINE:
        return
    if slash and (event not in KEYED_BY or not word):
        raise UnknownEvent(
            f"event key '{key}': only {', '.join(sorted(KEYED_BY))} take a word after the slash; "
            f"write '{event}'"
        )
