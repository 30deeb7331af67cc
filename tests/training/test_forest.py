import re
from itertools import pairwise

import numpy as np
import pytest

from features.definitions import FEATURES
from models.classifier import Classifier
from models.forest import Forest
from training.forest import BoosterSettings, Growth, directions, fit_forest, leaf_size, rounds

NAMES = ("a", "b", "c")


def drawn(rows: int = 3000, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Three features in rough grids, some missing; the chance of a yes waves with the first."""
    rng = np.random.default_rng(seed)
    found = np.round(rng.normal(size=(rows, 3)), 1)
    found[rng.random((rows, 3)) < 0.1] = np.nan
    first, second, third = np.nan_to_num(found).T
    log_odds = 0.5 * first + np.sin(4 * first) * (1 + second) - 0.5 * third * np.sign(second)
    answers = (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    return found, answers


def steps(model: Classifier, rows: np.ndarray, column: int) -> np.ndarray:
    """Change of the log-odds at each threshold that any tree has in a column."""
    assert isinstance(model.model, Forest)
    thresholds: set[float] = set()
    for used, values in re.findall(r"split_feature=(.*)\n.*\nthreshold=(.*)\n", model.model.text):
        pairs = zip(used.split(), values.split(), strict=True)
        thresholds |= {float(value) for place, value in pairs if int(place) == column}
    edges = sorted(edge for edge in thresholds if np.isfinite(edge))
    grid = [edges[0] - 1, *((low + high) / 2 for low, high in pairwise(edges))]
    scores = []
    for value in [*grid, edges[-1] + 1]:
        moved = rows.copy()
        moved[:, column] = value
        scores.append(model.log_odds(moved))
    return np.diff(np.array(scores), axis=0)


def test_a_score_never_runs_against_its_direction() -> None:
    rows, answers = drawn()
    free = fit_forest(rows, answers, NAMES, Growth(BoosterSettings(), 1))
    assert (steps(free, rows[:300], 0) < -0.1).any()
    assert (steps(free, rows[:300], 2) > 0.1).any()
    bound = fit_forest(rows, answers, NAMES, Growth(BoosterSettings(), 1, (1, 0, -1)))
    assert steps(bound, rows[:300], 0).min() >= 0
    assert steps(bound, rows[:300], 2).max() <= 0
    assert steps(bound, rows[:300], 0).max() > 0.1
    assert (steps(bound, rows[:300], 1) > 0.01).any()
    assert (steps(bound, rows[:300], 1) < -0.01).any()


def test_directions_are_those_of_the_dictionary() -> None:
    found = dict(zip(FEATURES.names, directions(FEATURES, "churn_risk"), strict=True))
    for feature in FEATURES.features:
        assert found[feature.name] == feature.direction.get("churn_risk", 0)
    assert (found["orders_84d"], found["usual_gap_days"]) == (-1, 1)
    assert set(directions(FEATURES, "no_such_score")) == {0}


def test_every_row_is_used_once() -> None:
    # Nothing is drawn again, doubled or left out: each tree counts the rows as they came, and a
    # tree of a few yes among many no keeps that share.
    rows, _ = drawn()
    answers = (np.arange(len(rows)) % 25 == 0).astype(np.int8)
    model = fit_forest(rows, answers, NAMES, Growth(BoosterSettings(), 1))
    assert isinstance(model.model, Forest)
    counts = re.findall(r"leaf_count=(.*)\n", model.model.text)
    assert len(counts) == rounds(len(rows), 180)
    assert {sum(map(int, each.split())) for each in counts} == {len(rows)}
    assert model.predict(rows).mean() == pytest.approx(0.04, abs=0.002)


@pytest.mark.parametrize(
    ("rows", "smallest"), [(100, 20), (2000, 20), (5000, 50), (10_000, 100), (10**6, 100)]
)
def test_leaves_grow_with_the_rows(rows: int, smallest: int) -> None:
    assert leaf_size(rows, 100) == smallest


@pytest.mark.parametrize(
    ("rows", "most", "trees"),
    [(100, 180, 40), (2000, 180, 40), (5500, 180, 100), (10**6, 180, 180), (9, 5, 5)],
)
def test_few_rows_grow_few_trees(rows: int, most: int, trees: int) -> None:
    assert rounds(rows, most) == trees
