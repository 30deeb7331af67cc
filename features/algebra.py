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

from features.decay import decayed_weights
from features.expressions import EVER, OPERATIONS, Expression, Measure
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
    in `codes`. A *selector* is a set of events, with its windows in ascending order; one that
    measures waits takes in the event that ends them too. A *decay* is a selector's sum of
    weights for one half life.

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
    reply_kinds : ndarray of int64, shape (n_selectors,)
        Kind that ends the selector's waits, -1 where it measures none.
    decay_starts : ndarray of int64, shape (n_selectors + 1,)
        Decays of selector `s`: numbers ``decay_starts[s]`` to ``decay_starts[s + 1]``.
    weight_starts, weight_stops : ndarray of int64, shape (n_decays,)
        Weights of decay `d`, by age in days: ``weights[weight_starts[d]:weight_stops[d]]``.
    weights : ndarray of int64, in units of ``1 / decay.ONE``
    step_starts : ndarray of int64, shape (n_features + 1,)
        Steps of feature `f`: ``operations[step_starts[f]:step_starts[f + 1]]``.
    operations, operands : ndarray of int64, shape (n_steps,)
        Position in `OPERATIONS`; window number of a measure, number of a decay, or position
        in `numbers`.
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
    reply_kinds: Int64Array
    decay_starts: Int64Array
    weight_starts: Int64Array
    weight_stops: Int64Array
    weights: Int64Array
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
    def plain(self) -> Mapping[tuple[tuple[str, ...], str], str]:
        """Names of the features that are one measure of the whole past, and no more.

        By the events, sorted, and the operation: ``(("Order Completed",), "recency")``.
        """
        found: dict[tuple[tuple[str, ...], str], str] = {}
        for feature in self.features:
            first, *rest = feature.expression.steps
            if isinstance(first, Measure) and not rest and first.window in (None, EVER):
                found.setdefault((first.events, first.operation), feature.name)
        return MappingProxyType(found)

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


_Selector = tuple[tuple[str, ...], str]  # event keys, and the event that ends their waits


_Decay = tuple[int, int]  # number of a selector, and a half-life in days
_Slot = tuple[int, int]  # number of a selector, and the length of a window


def _compiled(features: tuple[Feature, ...]) -> Program:
    measures = [
        step
        for feature in features
        for step in feature.expression.steps
        if isinstance(step, Measure)
    ]
    selectors = sorted({_selector(measure) for measure in measures})
    slots = sorted({(selectors.index(_selector(m)), _length(m)) for m in measures})
    decays = sorted({(selectors.index(_selector(m)), m.half_life) for m in measures if m.half_life})
    codes = sorted({code(key) for selector in selectors for key in _keys(selector)})
    kinds = [[s for s, (events, _) in enumerate(selectors) if not events]]
    kinds += [
        [
            number
            for number, selector in enumerate(selectors)
            if not selector[0] or event_code in {code(key) for key in _keys(selector)}
        ]
        for event_code in codes
    ]
    steps = [step for feature in features for step in feature.expression.steps]
    numbers = [step for step in steps if not isinstance(step, Measure | str)]
    operations, operands = _instructions(steps, selectors, slots, decays)
    counting = {_selector(m) for m in measures if m.operation == "distinct_categories"}
    half_lives = sorted({half_life for _, half_life in decays})
    weights = {half_life: decayed_weights(half_life) for half_life in half_lives}
    bounds = _bounds([len(weights[half_life]) for half_life in half_lives])
    rows = np.array([half_lives.index(half_life) for _, half_life in decays], dtype=np.int64)
    return Program(
        codes=_integers(codes),
        kind_starts=_bounds([len(kind) for kind in kinds]),
        kind_selectors=_integers([selector for kind in kinds for selector in kind]),
        window_starts=_bounds([sum(s == n for s, _ in slots) for n in range(len(selectors))]),
        window_lengths=_integers([length for _, length in slots]),
        keeps_categories=_integers([int(selector in counting) for selector in selectors]),
        reply_kinds=_integers(
            [1 + codes.index(code(reply)) if reply else -1 for _, reply in selectors]
        ),
        decay_starts=_bounds([sum(s == n for s, _ in decays) for n in range(len(selectors))]),
        weight_starts=bounds[rows],
        weight_stops=bounds[rows + 1],
        weights=_integers([weight for row in weights.values() for weight in row]),
        step_starts=_bounds([len(feature.expression.steps) for feature in features]),
        operations=_integers(operations),
        operands=_integers(operands),
        numbers=np.array(numbers, dtype=np.float64),
        depth=max((_depth(feature.expression) for feature in features), default=1),
    )


def _instructions(
    steps: list[Measure | float | str],
    selectors: list[_Selector],
    slots: list[_Slot],
    decays: list[_Decay],
) -> tuple[list[int], list[int]]:
    """Number of each step's operation, and of the window, decay or number that it fetches."""
    operations, operands = [], []
    n_numbers = 0
    for step in steps:
        if isinstance(step, str):
            operation, operand = step, 0
        elif isinstance(step, Measure):
            operation, selector = step.operation, selectors.index(_selector(step))
            if step.half_life:
                operand = decays.index((selector, step.half_life))
            else:
                operand = slots.index((selector, _length(step)))
        else:
            operation, operand = "number", n_numbers
            n_numbers += 1
        operations.append(OPERATIONS.index(operation))
        operands.append(operand)
    return operations, operands


def _selector(measure: Measure) -> _Selector:
    return measure.events, measure.reply


def _keys(selector: _Selector) -> tuple[str, ...]:
    """Every event key that a selector takes in."""
    events, reply = selector
    return (*events, reply) if reply else events


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
