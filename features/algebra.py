"""Named features, compiled: one program of integer arrays and one fingerprint for all of them.

A `Feature` gives an expression its name, and a `FeatureSet` compiles the whole list into the
`Program` that the kernel runs. Nothing here computes a feature: only `features.kernel` does.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.expressions import OPERATIONS, Expression, Measure
from features.signals import DAY, Int64Array, code

GROUPS: Final = (
    "recency",
    "frequency",
    "spend",
    "web",
    "email",
    "app",
    "support",
    "feedback",
    "loyalty",
    "subscription",
    "pressure",
    "tenure",
)

# Enters the fingerprint. Raise it whenever the kernel gives the same definition another meaning:
# every bundle trained before is then refused instead of fed with other numbers.
MEANING: Final = 1

# Longer than any time since 1970 in microseconds, and small enough that `as_of - EVER_LENGTH`
# stays inside int64.
EVER_LENGTH: Final = 2**62

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class InvalidFeature(ValueError):
    """A feature's name, group, label or direction breaks the rules."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A named quantity and the facts about it.

    Attributes
    ----------
    name : str
        Lower case, with its window in days where it has one: ``orders_28d``.
    label : str
        Its name for marketers.
    unit : str
        Such as ``days``, ``orders``, ``currency``, ``share``.
    group : str
        One of `GROUPS`.
    expression : Expression
    direction : mapping of score name to +1 or -1
        Where everybody expects a score to rise (+1) or fall (-1) with the feature, all else
        equal. Left out where sensible people may disagree.
    actionable : bool
        Whether a communication can change it.
    sensitive : bool
        Whether it speaks of what the law or good manners protect.
    """

    name: str
    label: str
    unit: str
    group: str
    expression: Expression
    direction: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    actionable: bool = False
    sensitive: bool = False

    def over(self, *days: int) -> "tuple[Feature, ...]":
        """One feature a window; ``{days}`` in name and label becomes the window."""
        return tuple(
            replace(
                self,
                name=self.name.replace("{days}", str(window)),
                label=self.label.replace("{days}", str(window)),
                expression=self.expression.within(window),
            )
            for window in days
        )


class Program(NamedTuple):
    """A feature set as arrays: the kernel's only instructions.

    A *kind* is the number of an event: 0 for one that no feature names, else 1 + its position
    in `codes`. A *selector* is a set of events, with its windows in ascending order.

    Attributes
    ----------
    codes : ndarray of int64, shape (n_codes,), ascending
    kind_starts : ndarray of int64, shape (n_codes + 2,)
        Selectors of kind `k`: ``kind_selectors[kind_starts[k]:kind_starts[k + 1]]``.
    kind_selectors : ndarray of int64
    window_starts : ndarray of int64, shape (n_selectors + 1,)
        Windows of selector `s`: ``window_lengths[window_starts[s]:window_starts[s + 1]]``.
    window_lengths : ndarray of int64, shape (n_windows,), microseconds
    keeps_categories : ndarray of int64, shape (n_selectors,)
        1 where a feature counts the selector's distinct categories.
    step_starts : ndarray of int64, shape (n_features + 1,)
        Steps of feature `f`: ``operations[step_starts[f]:step_starts[f + 1]]``.
    operations, operands : ndarray of int64, shape (n_steps,)
        Position in `OPERATIONS`; window number of a measure, position in `numbers` of a number.
    numbers : ndarray of float64
    depth : int
        Most values on the stack at once.
    """

    codes: Int64Array
    kind_starts: Int64Array
    kind_selectors: Int64Array
    window_starts: Int64Array
    window_lengths: Int64Array
    keeps_categories: Int64Array
    step_starts: Int64Array
    operations: Int64Array
    operands: Int64Array
    numbers: NDArray[np.float64]
    depth: int


# Without slots: the cached properties need a place to live.
@dataclass(frozen=True)
class FeatureSet:
    """The whole list of features, in the order of a row.

    Parameters
    ----------
    features : tuple of Feature

    Raises
    ------
    InvalidFeature
        If a name is used twice or ill-formed, a label or a group is wrong, or a direction is
        neither +1 nor -1.
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for feature in self.features:
            _check_feature(feature)
            if feature.name in seen:
                raise InvalidFeature(
                    f"feature '{feature.name}' is defined twice; a name may stand once; "
                    "rename one of them"
                )
            seen.add(feature.name)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the order of a row."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of what a row holds: names and definitions, not labels or groups."""
        lines = [f"meaning {MEANING}"]
        lines += [f"{feature.name} = {feature.expression.text()}" for feature in self.features]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def program(self) -> Program:
        """The kernel's instructions."""
        return _compiled(self.features)


def _check_feature(feature: Feature) -> None:
    if not _NAME.fullmatch(feature.name):
        raise InvalidFeature(
            f"feature name '{feature.name}'; must be lower-case letters, digits and "
            "underscores, beginning with a letter; use .over(...) to fill in {days}"
        )
    if not feature.label or "{days}" in feature.label:
        raise InvalidFeature(
            f"feature '{feature.name}' has the label '{feature.label}'; "
            "a label is its name for marketers; write one without {days}"
        )
    if feature.group not in GROUPS:
        raise InvalidFeature(
            f"feature '{feature.name}' is in the group '{feature.group}'; "
            f"groups are {', '.join(GROUPS)}; choose one of them"
        )
    for score, sign in feature.direction.items():
        if sign not in (-1, 1):
            raise InvalidFeature(
                f"feature '{feature.name}' has the direction {sign!r} for {score}; "
                "directions are +1 and -1; leave it out where neither is sure"
            )


def _compiled(features: tuple[Feature, ...]) -> Program:
    measures = [
        step
        for feature in features
        for step in feature.expression.steps
        if isinstance(step, Measure)
    ]
    selectors = sorted({measure.events for measure in measures})
    slots = sorted({(selectors.index(m.events), _length(m)) for m in measures})
    position = {slot: number for number, slot in enumerate(slots)}
    codes = sorted({code(event) for selector in selectors for event in selector})
    kinds = [[s for s, events in enumerate(selectors) if not events]]
    for event_code in codes:
        kinds.append(
            [
                s
                for s, events in enumerate(selectors)
                if not events or event_code in {code(event) for event in events}
            ]
        )
    operations: list[int] = []
    operands: list[int] = []
    numbers: list[float] = []
    for feature in features:
        for step in feature.expression.steps:
            if isinstance(step, Measure):
                operations.append(OPERATIONS.index(step.operation))
                operands.append(position[selectors.index(step.events), _length(step)])
            elif isinstance(step, str):
                operations.append(OPERATIONS.index(step))
                operands.append(0)
            else:
                operations.append(OPERATIONS.index("number"))
                operands.append(len(numbers))
                numbers.append(step)
    with_categories = {m.events for m in measures if m.operation == "distinct_categories"}
    return Program(
        codes=_integers(codes),
        kind_starts=_bounds([len(kind) for kind in kinds]),
        kind_selectors=_integers([selector for kind in kinds for selector in kind]),
        window_starts=_bounds([sum(s == n for s, _ in slots) for n in range(len(selectors))]),
        window_lengths=_integers([length for _, length in slots]),
        keeps_categories=_integers([int(events in with_categories) for events in selectors]),
        step_starts=_bounds([len(feature.expression.steps) for feature in features]),
        operations=_integers(operations),
        operands=_integers(operands),
        numbers=np.array(numbers, dtype=np.float64),
        depth=max((_depth(feature.expression) for feature in features), default=1),
    )


def _length(measure: Measure) -> int:
    return measure.window * DAY if measure.window else EVER_LENGTH


def _depth(expression: Expression) -> int:
    held = most = 0
    for step in expression.steps:
        held += -1 if isinstance(step, str) else 1
        most = max(most, held)
    return most


def _integers(values: list[int]) -> Int64Array:
    return np.array(values, dtype=np.int64)


def _bounds(lengths: list[int]) -> Int64Array:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
