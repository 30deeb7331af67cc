"""Small worlds whose truth is known: customers, what each message does to them, and a log.

Money is noisy, as in shops: many decisions bring nothing, some much. A customer decides several
times, and rows of one customer share a taste that no state variable tells.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.decision_log import LoggedDecisions, experiment_log

FloatArray = NDArray[np.float64]

N_STATE = 4
NAMES = ("no_contact", "reminder", "offer", "tips", "news")


@dataclass(frozen=True, slots=True)
class World:
    """What is true, drawn once; logs are drawn from it again and again.

    Attributes
    ----------
    base : ndarray of float64, shape (1 + n_state,)
        Reward without contact, as a line in the state.
    effect : ndarray of float64, shape (n_names, 1 + n_state)
        What each communication adds, as a line in the state; the first row is 0.
    goodbye : ndarray of float64, shape (n_names,)
        Chance that a customer says goodbye.
    """

    base: FloatArray
    effect: FloatArray
    goodbye: FloatArray

    def expected(self, state: FloatArray) -> FloatArray:
        """E[reward | state, communication], shape (n, n_names)."""
        line = np.column_stack([np.ones(len(state)), state])
        return (line @ self.base)[:, np.newaxis] + line @ self.effect.T


@dataclass(frozen=True, slots=True)
class Drawn:
    """A log and what only its maker knows."""

    log: LoggedDecisions
    expected: FloatArray
    opt_outs: FloatArray


def new_world(rng: np.random.Generator) -> World:
    """A world whose effects differ between people, some of them harmful."""
    effect = rng.normal(0.0, 0.6, (len(NAMES), 1 + N_STATE))
    effect[0] = 0.0
    goodbye = np.concatenate([[0.003], rng.uniform(0.003, 0.01, len(NAMES) - 1)])
    return World(np.array([6.0, 2.0, 1.0, 0.5, 0.0]), effect, goodbye)


def states(rng: np.random.Generator, n: int) -> FloatArray:
    """States of n decisions, shape (n, N_STATE): bounded, so that means of lines are exact."""
    return rng.uniform(-1.0, 1.0, (n, N_STATE))


def draw_log(world: World, rng: np.random.Generator, n_customers: int, rows: int) -> Drawn:
    """Decisions of a pilot: no contact twice as likely as each message that is allowed.

    Parameters
    ----------
    rows : int
        Decisions of each customer, who keeps a state and a taste through all of them.
    """
    n = n_customers * rows
    customer = np.repeat(np.arange(n_customers), rows)
    state = np.repeat(states(rng, n_customers), rows, axis=0)
    state[:, 1] = rng.uniform(-1.0, 1.0, n)  # one variable changes from decision to decision
    allowed = rng.random((n, len(NAMES))) < 0.8
    allowed[:, 0] = True
    weights = allowed * np.array([2.0, *[1.0] * (len(NAMES) - 1)])
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    chosen = (np.cumsum(probabilities, axis=1) <= rng.random(n)[:, np.newaxis]).sum(axis=1)
    chosen = np.minimum(chosen, len(NAMES) - 1)
    while not allowed[np.arange(n), chosen].all():  # a rounding error of the sum, once in 1e16
        chosen[~allowed[np.arange(n), chosen]] = 0
    expected = world.expected(state)
    mean = expected[np.arange(n), chosen]
    # Half of the decisions bring something: exponential amounts around the mean, as noisy as the
    # demo company's (spread 1.7 times the mean); and a taste of the customer's own, in all rows.
    amount = rng.exponential(1.0, n) * (rng.random(n) < 0.5) / 0.5
    taste = np.repeat(rng.normal(0.0, 2.0, n_customers), rows)
    opt_outs = (rng.random(n) < world.goodbye[chosen]).astype(np.float64)
    log = replace(
        experiment_log(NAMES, chosen, probabilities, mean * amount + taste, customer),
        decided_at=np.arange(n, dtype=np.int64),
        stage=np.full(n, 3, dtype=np.int64),
        state=state,
    )
    return Drawn(log, expected, opt_outs)


def best_of(worth: FloatArray, log: LoggedDecisions, epsilon: float = 0.1) -> FloatArray:
    """The policy that takes the allowed communication of the greatest worth, but for `epsilon`.

    Parameters
    ----------
    worth : ndarray of float64, shape (n, n_names)
    """
    allowed = log.probabilities > 0
    best = np.argmax(np.where(allowed, worth, -np.inf), axis=1)
    target = epsilon * allowed / allowed.sum(axis=1, keepdims=True)
    target[np.arange(len(log)), best] += 1 - epsilon
    return np.asarray(target)
