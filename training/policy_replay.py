"""What an engine would have chosen in the circumstances of logged decisions.

Each customer is looked at as of the moment of the decision: with the signals, consents, caps
and contacts of then, by the serving code itself.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.decision import Engine
from serving.desk import Question, ready_to_choose
from serving.exploration import Arm, epsilon_for, selection_probabilities
from serving.records import NO_CONTACT, Decision, Ledger
from serving.storage.store import Store
from training.decision_log import LoggedDecisions
from training.unseen_effects import half_of

FloatArray = NDArray[np.float64]

# The arm that a change of policy is about; the others choose as they did.
POLICY_ARM: Final = Arm("policy", 1.0)


@dataclass(frozen=True, slots=True)
class Replay:
    """Choices of one engine, row by row of the log.

    Attributes
    ----------
    probabilities : ndarray of float64, shape (n, n_names)
        P(communication | policy arm), in the order of the log's names.
    refused : mapping of rule to count
        How often each rule kept a communication back.
    worth : ndarray of float64, shape (n, n_names)
        Net worth of each communication, currency units; NaN where it may not be sent.
    """

    probabilities: FloatArray
    refused: Mapping[str, int]
    worth: FloatArray

    @property
    def contacts(self) -> FloatArray:
        """Probability of any contact in each row, shape (n,)."""
        return np.asarray(1.0 - self.probabilities[:, 0])


def replayed(log: LoggedDecisions, engines: Sequence[Engine], store: Store) -> Replay:
    """Let an engine decide again, at every logged moment.

    No engine must have learned from the decisions that it is asked to make again.

    Parameters
    ----------
    log : LoggedDecisions
        Its names hold every communication of the catalog; see `with_names`.
    engines : sequence of Engine
        One for everybody, or one for each half of the customers; see `unseen_effects`.
    """
    silent = [replace(engine, texts=None) for engine in engines]  # nobody reads reasons here
    whose = half_of(log.customer_ids) % len(engines)
    place = {name: number for number, name in enumerate(log.names)}
    probabilities = np.zeros((len(log), len(log.names)))
    worth = np.full(probabilities.shape, np.nan)
    refused: Counter[str] = Counter()
    for row in range(len(log)):
        customer_id = log.customer_ids[int(log.customer[row])]
        engine = silent[whose[log.customer[row]]]
        decision = decided(customer_id, int(log.decided_at[row]), engine, store)
        for name, probability in _vector(decision, engine).items():
            probabilities[row, place[name]] = probability
        for one in decision.ranked:
            worth[row, place[one.communication]] = one.expected_net
        refused.update(refusal.rule for refusal in decision.refusals)
    return Replay(probabilities, refused, worth)


def decided(customer_id: str, at: int, engine: Engine, store: Store) -> Decision:
    """The engine's decision as of a moment; nothing is logged.

    The crisis switch, and places taken by others, are not looked at: they pass, a policy stays.
    """
    question = Question(customer_id, at, uniform=0.0)
    ready = ready_to_choose(question, store, engine, "")
    return ready.choose(_as_it_stood(store.ledger(customer_id, at, ready.limited), at))


def with_names(log: LoggedDecisions, names: tuple[str, ...]) -> LoggedDecisions:
    """The log with further communications, which it never could have chosen."""
    new = [name for name in names if name not in log.names]
    if not new:
        return log
    zeros = np.zeros((len(log), len(new)))
    return replace(
        log,
        names=(*log.names, *new),
        probabilities=np.column_stack([log.probabilities, zeros]),
        prior=np.column_stack([log.prior, np.full(zeros.shape, np.nan)]),
    )


def _vector(decision: Decision, engine: Engine) -> Mapping[str, float]:
    if decision.fallback:
        return {NO_CONTACT: 1.0}
    epsilon = epsilon_for(decision.expectation, engine.policy)
    return selection_probabilities(decision.ranked, POLICY_ARM, epsilon)


def _as_it_stood(ledger: Ledger, at: int) -> Ledger:
    """The ledger before the decision that was made at this very moment."""
    return replace(
        ledger,
        contacts=tuple(contact for contact in ledger.contacts if contact.at < at),
        household={
            other: tuple(contact for contact in contacts if contact.at < at)
            for other, contacts in ledger.household.items()
        },
        pauses=(),
        taken={},
    )
