"""Fatigue measured by opt-outs: simulated customers whose true rate is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.effects import STATE
from serving.policy import SHIPPED, Policy, load_policy
from training.decision_log import LoggedDecisions, experiment_log
from training.fatigue_rate import FEWEST_OPT_OUTS, FatigueRate, fatigue_note, fatigue_rate

MARKETING = np.array([False, True, True, False])
NAMES = ("no_contact", "newsletter", "cross_sell", "thank_you")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(Path(SHIPPED))


def company(
    seed: int, slope: float, customers: int = 1500, confounded: bool = True
) -> tuple[LoggedDecisions, np.ndarray]:
    """Three decisions a customer. Those with many contacts leave more often whatever is sent,
    and the chance of a message falls with their number, as the policy would have it.
    """
    rng = np.random.default_rng(seed)
    n = 3 * customers
    customer = np.repeat(np.arange(customers), 3)
    mood = np.repeat(rng.random(customers), 3)
    recent = np.round(rng.gamma(1.5, 1.0, n) + (2 * mood if confounded else 0), 2)
    sending = np.clip(0.85 - 0.15 * recent, 0.15, 0.85)
    probabilities = np.column_stack([0.9 * (1 - sending), 0.6 * sending, 0.4 * sending])
    probabilities = np.column_stack([probabilities, 0.1 * (1 - sending)])
    chosen = (probabilities.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    sent = MARKETING[chosen]
    base = 0.01 + (0.04 * mood**2 + 0.01 * recent if confounded else 0.0)
    leaves = rng.random(n) < base + sent * (0.01 + slope * recent)
    state = np.zeros((n, len(STATE)))
    state[:, STATE.index("recent_contacts")] = recent
    log = replace(experiment_log(NAMES, chosen, probabilities, np.zeros(n), customer), state=state)
    return log, leaves.astype(np.float64)


def measured(log: LoggedDecisions, opted_out: np.ndarray) -> FatigueRate:
    found = fatigue_rate(log, opted_out, MARKETING)
    assert isinstance(found, FatigueRate)
    return found


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_the_interval_covers_the_true_rate(slope: float) -> None:
    found = [measured(*company(seed, slope)) for seed in range(100)]
    slopes = np.array([one.slope for one in found])
    assert slopes.mean() == pytest.approx(slope, abs=4 * slopes.std() / 10)
    covered = sum(one.low <= slope <= one.high for one in found)
    assert covered >= 89  # of 100; fewer has a probability below 1 in 100 if it is 95 %
    widths = [(one.high - one.low) / 2 / 1.96 for one in found]
    assert np.mean(widths) == pytest.approx(slopes.std(), rel=0.2)


def test_who_hears_much_and_leaves_more_anyway_is_no_fatigue() -> None:
    """Opt-outs among the contacted rise with contacts although no message does any harm by it."""
    log, leaves = company(3, 0.0, customers=20_000)
    sent = MARKETING[log.chosen]
    recent = log.state[:, STATE.index("recent_contacts")]
    naive = np.polyfit(recent[sent], leaves[sent], 1)[0]
    assert naive > 0.01
    found = measured(log, leaves)
    assert abs(found.slope) < 0.004
    assert found.low < 0 < found.high


def test_only_what_chance_decided_counts() -> None:
    log, leaves = company(4, 0.02)
    whole = measured(log, leaves)
    assert (whole.decisions, whole.customers) == (4500, 1500)
    assert whole.opt_outs == int(leaves.sum())
    spoiled, said = log.at(np.arange(len(log))), leaves.copy()
    spoiled.arm[:500] = 0  # the holdout
    spoiled.probabilities[500:1000] = (0.0, 1.0, 0.0, 0.0)  # nothing was left to chance
    spoiled.probabilities[1000:1500] = (0.0, 0.0, 0.0, 1.0)  # no marketing was possible
    said[1500:2000] = np.nan  # not over yet
    assert measured(spoiled, said) == measured(log.at(np.arange(2000, 4500)), leaves[2000:])


def test_few_opt_outs_say_nothing(policy: Policy) -> None:
    log, leaves = company(5, 0.0)
    few = np.zeros_like(leaves)
    few[: FEWEST_OPT_OUTS - 1] = 1.0
    assert fatigue_rate(log, few, MARKETING) == 19
    assert fatigue_note(19, policy) == (
        "Fatigue: assumed 0.10 EUR for each recent contact; not measured yet: 19 opt-outs "
        "followed decisions drawn by lot, and 20 are needed."
    )
    few[FEWEST_OPT_OUTS] = 1.0
    assert isinstance(fatigue_rate(log, few, MARKETING), FatigueRate)


def test_the_note_says_it_in_money(policy: Policy) -> None:
    found = FatigueRate(0.004, 0.001, 0.007, 12_345, 2_000, 321)
    assert fatigue_note(found, policy) == (
        "Fatigue: assumed 0.10 EUR for each recent contact; measured 0.02 (0.01 to 0.04) by "
        "opt-outs alone, at 5.00 EUR each: +0.40 percentage points a contact, from 12,345 "
        "decisions drawn by lot about 2,000 customers, 321 opt-outs. policy.toml goes on as it is "
        "until you change it."
    )
    slower = replace(policy, fatigue=replace(policy.fatigue, half_life_days=14.0))
    assert fatigue_note(found, slower).endswith(
        "The measure counts contacts with a half life of 7 days, the policy with one of 14."
    )
