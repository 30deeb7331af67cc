"""The data dictionary: every feature in words, as `nextbest features dictionary` prints it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Final

from features.algebra import GROUPS, Feature, FeatureSet
from features.batch import feature_row
from features.expressions import MEASURES, Expression, Measure, Signals
from features.signals import EMPTY

# Binding strength of what a formula is made of: a weaker part stands in brackets.
_SIGNS: Final = {"add": ("+", 1), "subtract": ("-", 1), "multiply": ("*", 2), "divide": ("/", 2)}
_ALONE: Final = 3

_HEAD: Final = """\
# Data dictionary: {count} features

What Nextbest knows about a customer at a moment, `as_of`. Printed by
`nextbest features dictionary`; edit `features/definitions.py`, not this page.

* A signal counts if it occurred and was received before `as_of`.
* A window of `w` days is `[as_of - w, as_of)`; without a window a measure looks at the whole past.
* Days are exact (1.5 is a day and a half) unless they say otherwise. A share of nothing is unknown.
* "rises" and "falls" say what everybody expects of a score, all else equal; where sensible people
  may disagree nothing is said. The models are free to find otherwise.
* *actionable*: a communication can change it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One feature of the dictionary.

    Attributes
    ----------
    feature : Feature
    definition : str
        Its formula, such as ``count(Order Completed; 28)``.
    empty : float
        Its value for a customer without any signals: 0, or NaN for unknown.
    """

    feature: Feature
    definition: str
    empty: float


def entries(features: FeatureSet, event_sets: Mapping[str, tuple[str, ...]]) -> tuple[Entry, ...]:
    """The dictionary, in the order of a row.

    Parameters
    ----------
    features : FeatureSet
    event_sets : mapping of name to event keys
        Names to use in formulas for sets of events.
    """
    names = {tuple(sorted(set(keys))): name for name, keys in event_sets.items()}
    nothing = feature_row(features, EMPTY, 0).tolist()
    return tuple(
        Entry(feature, formula(feature.expression, names), value)
        for feature, value in zip(features.features, nothing, strict=True)
    )


def formula(expression: Expression, names: Mapping[tuple[str, ...], str]) -> str:
    """An expression as people write it: ``sum_amount(Order Completed; 28) / 100``."""
    held: list[tuple[str, int]] = []
    for step in expression.steps:
        if isinstance(step, Measure):
            held.append((_measured(step, names), _ALONE))
        elif isinstance(step, float):
            held.append((f"{step:g}", _ALONE))
        else:
            sign, strength = _SIGNS[step]
            right, left = held.pop(), held.pop()
            # a - (b - c) needs its brackets, (a - b) - c does not.
            text = f"{_within(left, strength)} {sign} {_within(right, strength + 1)}"
            held.append((text, strength))
    return held[0][0]


def _within(part: tuple[str, int], strength: int) -> str:
    text, own = part
    return text if own >= strength else f"({text})"


def _measured(measure: Measure, names: Mapping[tuple[str, ...], str]) -> str:
    events = names.get(measure.events) or " | ".join(measure.events) or "any signal"
    if measure.reply:
        events += f" until {measure.reply}"
    if measure.half_life:
        return f"{measure.operation}({events}; half life {measure.half_life})"
    return f"{measure.operation}({events}{f'; {measure.window}' if measure.window else ''})"


def dictionary_lines(
    features: FeatureSet, event_sets: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The dictionary as Markdown, group by group."""
    found = entries(features, event_sets)
    lines = _HEAD.format(count=len(found)).splitlines()
    for group in GROUPS:
        lines += ["", f"## {group.capitalize()}", ""]
        for entry in found:
            if entry.feature.group == group:
                lines += _entry_lines(entry)
    lines += ["", "## Measures", ""]
    lines += [f"* {name}: {_meaning(name)}" for name in MEASURES]
    lines += ["", "## Sets of events", ""]
    lines += [f"* {name}: {', '.join(sorted(keys))}" for name, keys in sorted(event_sets.items())]
    return tuple(lines)


def _meaning(measure: str) -> str:
    """First line of what `Signals` says about a measure."""
    return (getattr(Signals, measure).__doc__ or "").partition("\n")[0]


def _entry_lines(entry: Entry) -> tuple[str, ...]:
    feature = entry.feature
    empty = "unknown" if isnan(entry.empty) else f"{entry.empty:g}"
    facts = [f"unit: {feature.unit}", f"without signals: {empty}"]
    facts += [
        f"{score} {'rises' if sign > 0 else 'falls'}" for score, sign in feature.direction.items()
    ]
    facts += ["actionable"] if feature.actionable else []
    facts += ["sensitive"] if feature.sensitive else []
    return (
        f"* **{feature.name}**: {feature.label}.",
        f"  ({'; '.join(facts)})",
        f"  `{entry.definition}`",
    )


def dictionary_record(
    features: FeatureSet, event_sets: Mapping[str, tuple[str, ...]]
) -> dict[str, object]:
    """The dictionary for programs; `empty` is null where the value is unknown."""
    return {
        "fingerprint": features.fingerprint,
        "features": [
            {
                "name": entry.feature.name,
                "label": entry.feature.label,
                "unit": entry.feature.unit,
                "group": entry.feature.group,
                "definition": entry.definition,
                "empty": None if isnan(entry.empty) else entry.empty,
                "direction": dict(entry.feature.direction),
                "actionable": entry.feature.actionable,
                "sensitive": entry.feature.sensitive,
            }
            for entry in entries(features, event_sets)
        ],
        "event_sets": {name: sorted(keys) for name, keys in event_sets.items()},
    }
