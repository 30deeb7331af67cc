"""Other ways to learn a policy from the same pilot: what the shipped way is compared with.

Each gives an estimated net worth of every communication for every customer, shape (n, k); the
best above zero is sent. They see what the shipped way sees.
"""

from collections.abc import Callable, Mapping
from typing import Final

import lightgbm
import numpy as np
from decisions.pilots import Looks, PilotWorld
from numpy.typing import NDArray

from training.decision_log import LoggedDecisions
from training.outcome_model import cross_fitted

FloatArray = NDArray[np.float64]

SMALL: Final = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "lambda_l2": 10.0,
    "num_threads": 1,
    "deterministic": True,
    "seed": 1,
    "verbosity": -1,
}
TINY: Final = SMALL | {"num_leaves": 4, "min_data_in_leaf": 200}
ROUNDS: Final = 100
TINY_ROUNDS: Final = 40
RIDGE: Final = 100.0  # as if so many rows more had said that nothing differs

Learner = Callable[[LoggedDecisions, PilotWorld], FloatArray]


def s_learner(log: LoggedDecisions, world: PilotWorld) -> FloatArray:
    """One forest of the reward on state and communication; the difference to no contact."""
    one_hot = np.eye(len(log.names))
    rows = np.column_stack([log.state, one_hot[log.chosen]])
    forest = _forest(rows, log.reward, SMALL, ROUNDS)
    n = len(world.judged)
    said = [
        np.asarray(forest.predict(np.column_stack([world.judged.state, np.tile(kind, (n, 1))])))
        for kind in one_hot
    ]
    return np.column_stack([one - said[0] for one in said[1:]])


def doubly_robust_trees(log: LoggedDecisions, world: PilotWorld) -> FloatArray:
    """Tiny trees on doubly robust differences to no contact."""
    return _on_differences(
        log,
        world,
        lambda rows, values, asked: np.asarray(
            _forest(rows, values, TINY, TINY_ROUNDS).predict(asked)
        ),
    )


def doubly_robust_ridge(log: LoggedDecisions, world: PilotWorld) -> FloatArray:
    """Ridge regression on doubly robust differences to no contact."""

    def ridge(rows: FloatArray, values: FloatArray, asked: FloatArray) -> FloatArray:
        mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
        design = np.column_stack([np.ones(len(rows)), (rows - mean) / spread])
        penalty = np.diag([0.0, *[RIDGE] * rows.shape[1]])
        found = np.linalg.solve(design.T @ design + penalty, design.T @ values)
        return np.column_stack([np.ones(len(asked)), (asked - mean) / spread]) @ found

    return _on_differences(log, world, ridge)


def shares_of_stated(log: LoggedDecisions, world: PilotWorld) -> FloatArray:
    """How much of what the catalog states of each communication came true: one number each.

    Pooled: each is shrunk to what came true of all, as strongly as their errors ask for.
    """
    nuisance = cross_fitted(log, np.random.default_rng(1))
    excess = log.reward - np.sum(log.probabilities * nuisance, axis=1)
    shares, errors = np.zeros(len(world.entries)), np.zeros(len(world.entries))
    for place in range(len(world.entries)):
        apart = (log.chosen == 1 + place) - log.probabilities[:, 1 + place]
        one = apart * log.prior[:, 1 + place]
        weight = max(float(one @ one), 1e-9)
        shares[place] = float(one @ excess) / weight
        errors[place] = np.sqrt(float(np.sum((one * excess) ** 2))) / weight
    precision = 1.0 / errors**2
    common = float(np.sum(precision * shares) / np.sum(precision))
    between = max(0.0, float(np.var(shares) - np.mean(errors**2)))
    shrunk = common + between / (between + errors**2) * (shares - common)
    return world.judged.stated * shrunk


def means(log: LoggedDecisions, world: PilotWorld) -> FloatArray:
    """The mean effect of each communication, the same for everybody."""
    return _on_differences(log, world, lambda _, values, asked: np.full(len(asked), values.mean()))


RIVALS: Final[Mapping[str, Learner]] = {
    "S-learner, argmax": s_learner,
    "doubly robust on tiny trees, argmax": doubly_robust_trees,
    "doubly robust ridge, argmax": doubly_robust_ridge,
    "pooled shares of what is stated, argmax": shares_of_stated,
    "mean effects, argmax": means,
}


def _on_differences(
    log: LoggedDecisions,
    world: PilotWorld,
    fit: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
) -> FloatArray:
    guess = cross_fitted(log, np.random.default_rng(1))
    row = np.arange(len(log))
    guess[row, log.chosen] += (log.reward - guess[row, log.chosen]) / log.propensity
    found = np.zeros((len(world.judged), len(world.entries)))
    for place in range(len(world.entries)):
        could = log.probabilities[:, 1 + place] > 0
        values = guess[could, 1 + place] - guess[could, 0]
        found[:, place] = fit(log.state[could], values, world.judged.state)
    return found


def _forest(
    rows: FloatArray, values: FloatArray, settings: Mapping[str, object], rounds: int
) -> lightgbm.Booster:
    return lightgbm.train(dict(settings), lightgbm.Dataset(rows, label=values), rounds)


def told_the_truth(world: PilotWorld) -> FloatArray:
    """Forests on the same features, fitted to the true effects on the other people."""
    learned, judged = world.learned, world.judged
    found = np.zeros((len(judged), len(world.entries)))
    rows, asked = _all_known(learned), _all_known(judged)
    for place in range(len(world.entries)):
        could = learned.eligible[:, place]
        settings = SMALL | {"num_leaves": 31, "feature_fraction": 0.5}
        forest = _forest(rows[could], learned.value[could, place], settings, 200)
        found[:, place] = np.asarray(forest.predict(asked))
    return found


def _all_known(looks: Looks) -> FloatArray:
    return np.column_stack([looks.rows, looks.state])
