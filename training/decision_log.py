"""Decisions of the past with their probabilities, and what came after: all that is learned from."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array
from models.effects import STATE
from serving.records import ARMS

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Int8Array = NDArray[np.int8]

_OF_ALL = ("names", "customer_ids")  # fields that are not one value a row


@dataclass(frozen=True, slots=True)
class LoggedDecisions:
    """Decisions drawn by lot with known probabilities, one row each.

    Attributes
    ----------
    names : tuple of str, length n_names
        Communications; the first is `no_contact`.
    customer_ids : tuple of str
    customer : ndarray of int64, shape (n,)
        Index into `customer_ids`: rows of one customer are not independent.
    decided_at : ndarray of int64, shape (n,)
        Microseconds UTC.
    chosen : ndarray of int64, shape (n,)
        Index into `names`.
    probabilities : ndarray of float64, shape (n, n_names)
        P(chosen | arm); 0: not allowed then.
    arm : ndarray of int8, shape (n,)
        Index into `serving.records.ARMS`.
    stage : ndarray of int64, shape (n,)
        Index into `features.stage.STAGES`.
    state : ndarray of float64, shape (n, n_state)
        Columns of `models.effects.STATE`, as they stood when it was decided.
    prior : ndarray of float64, shape (n, n_names)
        Effect that the catalog states, currency units; NaN where it states none.
    reward : ndarray of float64, shape (n,)
        See `training.rewards`; NaN while the horizon is not over (censored).
    """

    names: tuple[str, ...]
    customer_ids: tuple[str, ...]
    customer: Int64Array
    decided_at: Int64Array
    chosen: Int64Array
    probabilities: FloatArray
    arm: Int8Array
    stage: Int64Array
    state: FloatArray
    prior: FloatArray
    reward: FloatArray

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def propensity(self) -> FloatArray:
        """Probability of what was chosen, shape (n,)."""
        return np.asarray(self.probabilities[np.arange(len(self)), self.chosen])

    @property
    def censored(self) -> int:
        """Rows whose horizon is not over: they teach nothing yet."""
        return int(np.isnan(self.reward).sum())

    def at(self, where: BoolArray | Int64Array) -> "LoggedDecisions":
        """Some of the rows, by a mask or by their numbers."""
        rows = [each.name for each in fields(self) if each.name not in _OF_ALL]
        return replace(self, **{name: getattr(self, name)[where] for name in rows})

    def matured(self) -> "LoggedDecisions":
        """Rows whose horizon is over: the only ones that may be learned from."""
        return self.at(~np.isnan(self.reward))


def experiment_log(
    names: tuple[str, ...],
    chosen: Int64Array,
    probabilities: FloatArray,
    reward: FloatArray,
    customer: Int64Array | None = None,
) -> LoggedDecisions:
    """Rows of an experiment as decisions that were drawn by lot; one a customer, if not told.

    What an experiment does not tell is 0: moments, stages, states, stated effects. Where it
    does, `dataclasses.replace` them.
    """
    n = len(chosen)
    who = np.arange(n, dtype=np.int64) if customer is None else customer
    return LoggedDecisions(
        names=names,
        customer_ids=tuple(f"C-{number}" for number in range(int(who.max(initial=-1)) + 1)),
        customer=who,
        decided_at=np.zeros(n, dtype=np.int64),
        chosen=chosen,
        probabilities=probabilities,
        arm=np.full(n, ARMS.index("uniform"), dtype=np.int8),
        stage=np.zeros(n, dtype=np.int64),
        state=np.zeros((n, len(STATE))),
        prior=np.zeros((n, len(names))),
        reward=reward,
    )
