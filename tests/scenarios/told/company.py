"""The company that a story is about: shipped catalog and policy with its changes, stated models."""

import json
import tomllib
from collections.abc import Mapping
from datetime import date, time
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from told.stories import Story

from features.definitions import FEATURES
from models.bundle import Bundle, Golden
from models.classifier import BaseRate, Classifier, logit
from models.effects import STATE, EffectModels
from models.margin import MarginModel
from models.proposed_targets import Windows, targets_toml
from models.targets import Targets, load_targets
from serving import catalog, policy
from serving.catalog import Catalog, load_catalog
from serving.engine import Engine
from serving.policy import Policy, load_policy

# In stories nobody is left to chance, unless a story is about chance.
NO_CHANCE = {"holdout_share": 0.0, "uniform_share": 0.0, "epsilon": 0.0}
# What the models are taken to expect of anybody of whom a story says nothing else. Money is of
# 28 days: usual at the customer's own pace, expected now, and of the average customer.
PLAIN = {
    "churn_risk": 0.20,
    "repurchase_likelihood": 0.40,
    "promoter_likelihood": 0.25,
    "usual_margin": 12.0,
    "expected_margin": 9.0,
    "average_margin": 10.0,
}
RISKS = ("churn_risk", "repurchase_likelihood", "promoter_likelihood")
STEADY = 1e12  # so many days of everyone's pace that no own order moves the stated margin
HORIZON_DAYS = 28
COMPANIES = {
    "shop": Windows(),
    "subscriptions": Windows(kind="contract", churn_days=30, repurchase_days=7),
    "application": Windows(kind="activity", churn_days=28, at_risk_days=56),
}


def engine_of(story: Story, when: int) -> Engine:
    """What decides in a story. `when`: the moment that its models were trained at."""
    return Engine(
        bundle_of(story, when),
        catalog_with(toml(story.catalog)),
        policy_with(toml(story.policy)),
        None,
        FEATURES,
    )


def bundle_of(story: Story, when: int) -> Bundle:
    """A bundle whose models say what the story states: base rates, one for each question.

    It is the same bundle that serves a company without data, read by the same code; nothing
    but the numbers in it is stated.
    """
    strange = story.expected.keys() - PLAIN.keys()
    if strange:
        raise ValueError(f"'{story.title}': expected {', '.join(strange)}; known: {list(PLAIN)}")
    said = PLAIN | dict(story.expected)
    targets = targets_of(story.company)
    share = said["expected_margin"] / said["usual_margin"]
    return Bundle(
        as_of=when,
        feature_names=FEATURES.names,
        fingerprint=FEATURES.fingerprint,
        targets=targets,
        classifiers={
            name: Classifier(BaseRate(logit(said[name])), FEATURES.names)
            for name in RISKS
            if name in targets.names
        },
        base_rates={name: PLAIN[name] for name in RISKS},
        margin=MarginModel(
            margin_rate=0.3,
            horizon_days=HORIZON_DAYS,
            prior_days=STEADY,
            everyone_per_day=said["usual_margin"] / HORIZON_DAYS,
            edges=(),
            factors=(share,),
            unknown_factor=share,
            base=said["average_margin"],
        ),
        metrics=(),
        notes=(),
        golden=Golden((), {}),
        sha256="0" * 64,
        effects=effects_of(story.measured),
    )


def effects_of(measured: Mapping[str, Mapping[str, Any]]) -> EffectModels | None:
    """Effects as a story says they were measured; None if it says nothing.

    Of each communication: `parts`, from products of state variables to currency units, the mean
    effect `on_average`, its standard `error`, and the `decisions` that it was measured on. Nothing
    of what the catalog states of any communication came true.
    """
    if not measured:
        return None
    names = tuple(sorted(measured))
    told = {name: {"1": measured[name]["on_average"]} for name in names}
    told |= {name: said["parts"] for name, said in measured.items() if "parts" in said}
    terms = tuple(dict.fromkeys(("1", *(term for parts in told.values() for term in parts))))
    size = len(names) * len(terms)
    covariance = np.zeros((size, size))
    for place, name in enumerate(names):
        covariance[place * len(terms), place * len(terms)] = measured[name]["error"] ** 2
    return EffectModels(
        names=names,
        state=STATE,
        terms=tuple(() if term == "1" else tuple(term.split(" * ")) for term in terms),
        coefficients=np.array([[told[name].get(term, 0.0) for term in terms] for name in names]),
        covariance=covariance,
        evidence=np.array([measured[name]["decisions"] for name in names], dtype=np.int64),
        means={},
        mean=np.array([[float(measured[name]["on_average"])] for name in names]),
        stated_scale=0.0,
    )


@lru_cache(maxsize=8)
def targets_of(company: str) -> Targets:
    """The targets that `nextbest doctor` proposes for a company of a kind."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "targets.toml"
        file.write_text(targets_toml(COMPANIES[company]), encoding="utf-8")
        return load_targets(file)


@lru_cache(maxsize=64)
def catalog_with(changes: str) -> Catalog:
    """The shipped catalog with what the company changed in it, or added to it."""
    told = _merged(_read(catalog.SHIPPED), tomllib.loads(changes))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "catalog.toml"
        file.write_text(toml(told), encoding="utf-8")
        return load_catalog(file, FEATURES.names)


@lru_cache(maxsize=64)
def policy_with(changes: str) -> Policy:
    """The shipped policy without chance, and with what the company changed in it."""
    told = _merged(_read(policy.SHIPPED), NO_CHANCE | tomllib.loads(changes))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "policy.toml"
        file.write_text(toml(told), encoding="utf-8")
        return load_policy(file)


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return tomllib.load(opened)


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The table with the changes, table by table; lists are replaced."""
    found = dict(table)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _merged(found[key], value) if both else value
    return found


def toml(table: Mapping[str, Any]) -> str:
    """The table as a TOML file, one key a line."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, date | time):
        return value.isoformat()
    return cast(str, json.dumps(value, ensure_ascii=False))
