"""The sentences of a `reasons.toml`: facts in words, one idea each, checked before they are said.

A sentence states a fact that a model looked at. It never claims a cause: the words that would
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

from features.algebra import GROUPS, Feature, FeatureSet
from models.language import Phrase, Quantity, Value, phrase_of

# Where no sentence of the feature or its group can be said: with a value, and without.
BARE: Final = ("{label}: {value}.", "{label}: nothing on record.")
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


def sentence(
    feature: Feature, values: Mapping[str, float], features: FeatureSet, texts: ReasonTexts
) -> Phrase:
    """One sentence that states a feature's value, or that there is none.

    Where it would also tell a sensitive feature's value, the label and the value alone are said.

    Parameters
    ----------
    values : mapping of feature name to float
        The whole row; NaN where there is no value.
    """
    own, group = texts.features.get(feature.name), texts.groups[feature.group]
    words: dict[str, Value] = {"label": feature.label}
    for other in features.features:
        if not isnan(values[other.name]):
            words[other.name] = Quantity(values[other.name], other.unit)
    value = values[feature.name]
    if isnan(value):
        candidates: tuple[str, ...] = (own.missing if own else "", group.missing)
    elif own and own.negative and value < 0:
        words["value"] = Quantity(-value, feature.unit)
        candidates = (own.negative,)
    else:
        words["value"] = Quantity(value, feature.unit)
        candidates = (*(own.text if own else ()), *group.text)
    template = next(
        each
        for each in (*candidates, *BARE)  # the last of which needs the label alone
        if each and all(word in words for word in _placeholders(each))
    )
    hidden = {other.name for other in features.features if other.sensitive}
    if hidden.intersection(_placeholders(template)):
        template = BARE[1] if isnan(value) else BARE[0]
        words["value"] = Quantity(value, feature.unit)
    return phrase_of(template, {word: words[word] for word in _placeholders(template)})


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
