"""Uplift curves of a check: the rows that are compared, and what is told of too few."""

from dataclasses import replace

import numpy as np
import pytest

from training.decision_log import LoggedDecisions, experiment_log
from training.policy_uplift import FEWEST, TOP, sortings
from training.uplift_curves import Trial, qini, uplift_at

NAMES = ("no_contact", "mail", "call")
N = 1_200


@pytest.fixture
def log() -> LoggedDecisions:
    """Mail helps every other person by 4 and harms the rest by 2; calls do nothing."""
    rng = np.random.default_rng(3)
    helped = np.arange(N) % 2 == 0
    probabilities = np.where(helped[:, np.newaxis], [0.55, 0.4, 0.05], [0.35, 0.6, 0.05])
    chosen = (np.cumsum(probabilities, axis=1) <= rng.random(N)[:, np.newaxis]).sum(axis=1)
    effect = np.where(chosen == 1, np.where(helped, 4.0, -2.0), 0.0)
    return experiment_log(NAMES, chosen, probabilities, 10.0 + effect)


def worth_of(helped: float, others: float) -> np.ndarray:
    worth = np.zeros((N, 3))
    worth[:, 1] = np.where(np.arange(N) % 2 == 0, helped, others)
    return worth


def test_a_policy_that_knows_whom_mail_helps_sorts_as_well_as_can_be(log) -> None:
    """Half gain 4, half lose 2: a triangle of area .5 * .5 * (4 + 2) / 2 = .75."""
    (found,) = sortings(log, worth_of(1.0, -1.0), np.random.default_rng(1))
    assert (found.communication, found.sent, found.withheld) == (
        "mail",
        int((log.chosen == 1).sum()),
        int((log.chosen == 0).sum()),
    )
    assert found.qini.low < 0.75 < found.qini.high
    assert found.qini.low > 0.6
    assert found.top is not None
    assert found.top.value == pytest.approx(4.0)  # the rewards have no noise
    (against,) = sortings(log, worth_of(-1.0, 1.0), np.random.default_rng(1))
    assert against.qini.low < -0.75 < against.qini.high < -0.6
    assert against.top is not None
    assert against.top.value == pytest.approx(-2.0)


def test_only_decisions_in_which_both_could_be_chosen_are_compared(log) -> None:
    """By hand, of the rows in which the policy may send it, and the log could do either."""
    worth = worth_of(1.0, -1.0)
    worth[:200, 1] = np.nan
    probabilities = log.probabilities.copy()
    probabilities[200:300] = [1.0, 0.0, 0.0]
    narrowed = replace(log, probabilities=probabilities)
    rows = np.flatnonzero((log.chosen < 2) & (np.arange(N) >= 300))
    p = probabilities[rows, 1] / probabilities[rows, :2].sum(axis=1)
    trial = Trial(log.customer[rows], log.chosen[rows] == 1, log.reward[rows], p)
    (found,) = sortings(narrowed, worth, np.random.default_rng(1))
    assert found.qini.value == qini(trial, worth[rows, 1])
    assert found.top is not None
    assert found.top.value == uplift_at(trial, worth[rows, 1], TOP)


def test_of_too_few_nothing_is_told(log) -> None:
    sent = np.flatnonzero(log.chosen == 1)
    fewer = np.concatenate([np.flatnonzero(log.chosen != 1), sent[: FEWEST - 1]])
    assert sortings(log.at(fewer), worth_of(1.0, -1.0)[fewer], np.random.default_rng(1)) == ()


def test_a_top_of_one_kind_has_no_effect_to_tell(log) -> None:
    """Whoever stands first was always sent it: the area is told, the effect is not."""
    worth = worth_of(1.0, -1.0)
    worth[log.chosen == 1, 1] += 100.0
    (found,) = sortings(log, worth, np.random.default_rng(1))
    assert found.top is None
    assert found.qini.low <= found.qini.value <= found.qini.high
