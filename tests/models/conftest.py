"""A bundle with one model of each kind, small enough to read."""

from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from features.definitions import FEATURES
from models.bundle import Bundle, Golden, with_golden_rows
from models.bundle_files import write_bundle
from models.classifier import Calibration, Classifier, Forest, Logistic, RecencyRule
from models.margin import MarginModel
from models.reason_texts import ReasonTexts, load_reason_texts
from models.targets import load_targets

FloatArray = NDArray[np.float64]
NEVER_MISSING = ("spend_365d", "orders_365d", "orders_84d")


@pytest.fixture(scope="session")
def rows() -> FloatArray:
    """300 invented rows of all features, a fifth of the values missing."""
    rng = np.random.default_rng(7)
    found = np.round(rng.gamma(1.0, 20.0, (300, len(FEATURES))), 3)
    found[rng.random(found.shape) < 0.2] = np.nan
    for name in NEVER_MISSING:
        column = FEATURES.names.index(name)
        found[:, column] = np.nan_to_num(found[:, column])
    return found


@pytest.fixture(scope="session")
def forest(rows: FloatArray) -> Classifier:
    """A forest of ten trees that has learned something, with a calibration."""
    recency = np.nan_to_num(rows[:, 0], nan=60.0)
    spend = np.nan_to_num(rows[:, FEATURES.names.index("spend_84d")])
    answers = (recency + np.random.default_rng(1).normal(0, 10, 300) > spend).astype(np.int8)
    parameters = {
        "objective": "binary",
        "num_leaves": 6,
        "min_data_in_leaf": 10,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(rows, label=answers, feature_name=list(FEATURES.names))
    booster = lightgbm.train(parameters, data, num_boost_round=10)
    return Classifier(Forest(booster.model_to_string()), FEATURES.names, Calibration(1.2, -0.1))


@pytest.fixture(scope="session")
def regression() -> Classifier:
    """A logistic regression with weights drawn by lot."""
    rng, n = np.random.default_rng(3), len(FEATURES)
    weights, absent = rng.normal(0, 0.2, n), rng.normal(0, 0.2, n)
    model = Logistic(
        mean=(2.0,) * n,
        scale=(1.5,) * n,
        coefficient=tuple(weights.tolist()),
        missing=tuple(absent.tolist()),
        center=(0.2,) * n,
        intercept=-1.0,
    )
    return Classifier(model, FEATURES.names)


@pytest.fixture(scope="session")
def rule() -> Classifier:
    """A rule by recency with two edges."""
    model = RecencyRule(edges=(5.0, 10.0), log_odds=(-2.0, -1.0, 0.5), unknown=1.0, base=-1.2)
    return Classifier(model, FEATURES.names)


@pytest.fixture(scope="session")
def bundle(rows: FloatArray, forest: Classifier, rule: Classifier) -> Bundle:
    """Churn by the forest, repurchase by the rule."""
    margin = MarginModel(0.5, 28, 56.0, 0.5, (7.0, 28.0), (1.0, 0.8, 0.1), 0.05, 12.0)
    return with_golden_rows(
        Bundle(
            as_of=1_700_000_000_000_000,
            feature_names=FEATURES.names,
            fingerprint=FEATURES.fingerprint,
            targets=load_targets(),
            classifiers={"churn_risk": forest, "repurchase_likelihood": rule},
            base_rates={"churn_risk": 0.13, "repurchase_likelihood": 0.59},
            margin=margin,
            metrics=(),
            notes=("Made by hand.",),
            golden=Golden((), {}),
        ),
        rows,
    )


@pytest.fixture(scope="session")
def texts() -> ReasonTexts:
    """The shipped sentences."""
    return load_reason_texts(Path(__file__).parents[2] / "serving" / "reasons.toml", FEATURES)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """The bundle as training wrote it."""
    return tmp_path / write_bundle(bundle, tmp_path)


@pytest.fixture
def forged(signed_again: Callable[..., Path]) -> Callable[..., Path]:
    """What else a forger does: puts one text of a bundle's file in place of another."""

    def forge(folder: Path, name: str, old: str, new: str) -> Path:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return signed_again(folder)

    return forge
