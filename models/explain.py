"""Contributions to a score, grouped and said in plain words.

A reason states a fact that the model looked at. It never claims a cause: the words that would
are refused when the texts are loaded.
"""

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isnan
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import GROUPS, Feature, FeatureSet
from models.classifier import Classifier, sigmoid
from models.expectation import Reason, Score

FloatArray = NDArray[np.float64]

# More than four reasons are not likely to help a reader (commentary to Regulation B, 12 CFR
# 1002.9): three named ones and the rest.
NAMED_AT_MOST: Final = 3
SLIGHT: Final = 0.05  # smaller shares of all contributions are folded into the rest
REST_CODE: Final = "OTHER"
FORBIDDEN: Final = re.compile(r"\b(because|caus(e|es|ed|ing)|due to|thanks to|leads? to)\b", re.I)


class InvalidReasonTexts(ValueError):
    """A `reasons.toml` that cannot be used."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """What to say where there is a value, tried in order, and where there is none.

    `negative`, where given, is for values below zero and shows them without their sign.
    """

    text: tuple[str, ...]
    missing: str = ""
    negative: str = ""


@dataclass(frozen=True, slots=True)
class ReasonTexts:
    """The sentences of `reasons.toml`.

    Attributes
    ----------
    groups : mapping of feature group to Sentences
        For features without sentences of their own.
    features : mapping of feature name to Sentences
    rest, nothing : str
        For all smaller signals together, beside named reasons and without any.
    """

    groups: Mapping[str, Sentences]
    features: Mapping[str, Sentences]
    rest: str
    nothing: str


def load_reason_texts(path: Path, features: FeatureSet | None = None) -> ReasonTexts:
    """Sentences of a `reasons.toml`; with `features`, the names in it are checked too.

    Raises
    ------
    InvalidReasonTexts
        If the file is missing or no TOML, a group lacks its sentences, a key, a feature or a
        placeholder is unknown, or a sentence claims a cause.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidReasonTexts(
            f"{path}: no such file; `nextbest init` writes one into the home"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidReasonTexts(f"{path.name}: not TOML: {error}; mend that line") from error
    where = path.name
    names = None if features is None else features.names
    _require_keys(where, found, ("rest", "nothing", "groups", "features"))
    for key in ("rest", "nothing"):
        if not isinstance(found.get(key), str):
            raise InvalidReasonTexts(f"{where}: no text '{key}'; it has no default; add it")
        _require_sentence(f"{where}: {key}", found[key], ())
    groups = _sentences(where, "group", found.get("groups", {}), names)
    _require_keys(f"{where}: groups", groups, GROUPS)
    for group in GROUPS:
        if group not in groups or not groups[group].text or not groups[group].missing:
            raise InvalidReasonTexts(
                f"{where}: group '{group}' needs both 'text' and 'missing'; add them below "
                f"[groups.{group}]"
            )
    own = _sentences(where, "feature", found.get("features", {}), names)
    if names is not None:
        _require_keys(f"{where}: features", own, names)
    return ReasonTexts(groups, own, found["rest"], found["nothing"])


def reasons(
    score: Score, classifier: Classifier, row: FloatArray, features: FeatureSet, texts: ReasonTexts
) -> tuple[Reason, ...]:
    """At most four reasons why a probability reads as it does, strongest first.

    ``100 * starting_point`` plus the points of all reasons is ``100 * score.value``. A group's
    points are its log-odds times the mean slope of the sigmoid on the straight way from the
    starting point to the score, so they keep its sign and depend on no order. The last
    reason, code ``OTHER``, holds all groups that are not named.
    Source: Aumann and Shapley (1974), for a function of a sum.

    Parameters
    ----------
    score : Score
        With a value.
    row : ndarray of float64, shape (n_features,)

    Raises
    ------
    ValueError
        If the score has no value.
    """
    if score.value is None:
        raise ValueError(f"{score.name} has no value ({score.note}); explain only what has one")
    parts = classifier.contributions(row[np.newaxis])[0]
    start, parts = float(parts[-1]), parts[:-1]
    by_group: dict[str, float] = {}
    for feature, part in zip(features.features, parts, strict=True):
        by_group[feature.group] = by_group.get(feature.group, 0.0) + float(part)
    values = dict(zip(features.names, row.tolist(), strict=True))
    slope = _mean_slope(start, start + float(parts.sum()))
    reached, said = _probability(start), []
    for group in _named_groups(by_group):
        leading = _leading(group, by_group[group], features.features, parts)
        if leading is not None:
            step = slope * by_group[group]
            reached += step
            text = sentence(leading, values, features, texts)
            said.append(_reason(group.upper(), score.name, step, text))
    rest = score.value - reached
    if abs(rest) > 1e-12:  # less than that is the rounding of the sum, no signal
        text = texts.rest if said else texts.nothing
        said.append(_reason(REST_CODE, score.name, rest, text))
    return tuple(said)


def starting_point(classifier: Classifier, row: FloatArray) -> float:
    """Probability that the model starts from, before it looks at any feature.

    The prediction at the mean log-odds of the training rows: it lies below the base rate where
    few customers with high risks make up most of it.

    Parameters
    ----------
    row : ndarray of float64, shape (n_features,)
    """
    return _probability(float(classifier.contributions(row[np.newaxis])[0, -1]))


def _probability(log_odds: float) -> float:
    return float(sigmoid(np.array([log_odds]))[0])


def _mean_slope(start: float, end: float) -> float:
    """Mean slope of the sigmoid between two log-odds."""
    # Nearer than this, the difference of two sigmoids is rounding; the slope there is the same.
    if abs(end - start) < 1e-6:
        p = _probability((start + end) / 2)
        return p * (1 - p)
    return (_probability(end) - _probability(start)) / (end - start)


def sentence(
    feature: Feature, values: Mapping[str, float], features: FeatureSet, texts: ReasonTexts
) -> str:
    """One sentence that states a feature's value, or that there is none.

    Parameters
    ----------
    values : mapping of feature name to float
        The whole row; NaN where there is no value.
    """
    by_name = {each.name: each for each in features.features}
    own, group = texts.features.get(feature.name), texts.groups[feature.group]
    words = {"label": feature.label}
    for name, value in values.items():
        if not isnan(value):
            words[name] = shown(value, by_name[name].unit)
    if isnan(values[feature.name]):
        candidates: tuple[str, ...] = (own.missing if own else "", group.missing)
    elif own and own.negative and values[feature.name] < 0:
        words["value"] = shown(-values[feature.name], feature.unit)
        candidates = (own.negative,)
    else:
        words["value"] = words[feature.name]
        candidates = (*(own.text if own else ()), *group.text)
    for template in candidates:
        if template and all(word in words for word in _placeholders(template)):
            return _filled(template, words)
    return f"{feature.label}: {words.get('value', 'nothing on record')}."


def shown(value: float, unit: str) -> str:
    """A value as a marketer reads it."""
    if unit == "days":
        days = round(value)
        if days == 0 and value > 0:  # none at all is a count of days, and not a time
            return "less than a day"
        return f"{days:,} day{'s' if abs(days) != 1 else ''}"
    if unit == "share":
        return f"{100 * value:.0f} %"
    if unit == "currency":
        return f"{value:,.2f}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _named_groups(by_group: Mapping[str, float]) -> tuple[str, ...]:
    """Groups worth a sentence, strongest first, one of the other direction among them."""
    total = sum(abs(part) for part in by_group.values())
    ranked = sorted(by_group, key=lambda group: (-abs(by_group[group]), group))
    slight = [group for group in ranked if abs(by_group[group]) >= SLIGHT * total > 0]
    named = slight[:NAMED_AT_MOST]
    if named and len({by_group[group] > 0 for group in named}) == 1:
        other = [group for group in slight if (by_group[group] > 0) != (by_group[named[0]] > 0)]
        if other:
            named = [*named[: NAMED_AT_MOST - 1], other[0]]
    return tuple(named)


def _leading(
    group: str, total: float, features: tuple[Feature, ...], parts: FloatArray
) -> Feature | None:
    """The feature to speak of: the strongest that pulls the way its group does.

    None if all such features are sensitive: they are never shown as reasons.
    """
    pulling = [
        (abs(float(part)), feature)
        for feature, part in zip(features, parts, strict=True)
        if feature.group == group and not feature.sensitive and part * total > 0
    ]
    return max(pulling, key=lambda pair: pair[0])[1] if pulling else None


def _reason(code: str, score: str, step: float, text: str) -> Reason:
    return Reason(code, score, 100 * step, "raises" if step >= 0 else "lowers", text)


def _filled(template: str, words: Mapping[str, str]) -> str:
    # Not str.format: a template is a company's text and may reach for attributes.
    return "".join(
        literal + (words[name] if name is not None else "")
        for literal, name, _, _ in string.Formatter().parse(template)
    )


def _placeholders(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _sentences(
    where: str, kind: str, found: object, names: tuple[str, ...] | None
) -> dict[str, Sentences]:
    if not isinstance(found, dict):
        raise InvalidReasonTexts(f"{where}: {kind}s = {found!r}; must be tables, one a {kind}")
    texts = {}
    for name, table in found.items():
        at = f"{where}: {kind} '{name}'"
        if not isinstance(table, dict):
            raise InvalidReasonTexts(f"{at}: {table!r}; must be a table; write [{kind}s.{name}]")
        _require_keys(at, table, ("text", "missing", "negative"))
        text = table.get("text", [])
        listed = text if isinstance(text, list) else [text]
        missing, negative = table.get("missing", ""), table.get("negative", "")
        for template in (*listed, missing, negative):
            _require_sentence(at, template, names)
        texts[name] = Sentences(tuple(listed), missing, negative)
    return texts


def _require_sentence(at: str, template: object, names: tuple[str, ...] | None) -> None:
    if not isinstance(template, str):
        raise InvalidReasonTexts(f"{at}: {template!r}; must be text in quotes; correct it")
    claim = FORBIDDEN.search(template)
    if claim:
        raise InvalidReasonTexts(
            f"{at}: says '{claim.group(0)}'; a score shows what goes together, not what makes "
            "what; state the fact alone"
        )
    try:
        words = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InvalidReasonTexts(
            f"{at}: {template!r}: {error}; write {{value}}, {{label}} or {{a feature's name}}"
        ) from error
    for _, name, spec, conversion in words:
        if name is None:
            continue
        if spec or conversion or not re.fullmatch(r"[a-z0-9_]+", name):
            raise InvalidReasonTexts(
                f"{at}: placeholder '{{{name}}}'; must be a plain name; units choose the format"
            )
        if names is not None:
            _require_known(f"{at}: unknown placeholder", name, ("value", "label", *names))


def _require_keys(where: str, found: Mapping[str, object], allowed: tuple[str, ...]) -> None:
    for key in found:
        _require_known(f"{where}: unknown key", key, allowed)


def _require_known(problem: str, word: str, allowed: tuple[str, ...]) -> None:
    if word in allowed:
        return
    near = get_close_matches(word, allowed, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"allowed are {', '.join(allowed)}"
    raise InvalidReasonTexts(f"{problem} '{word}'; {hint}")
