"""Gates of a new policy: each made to say no, and the whole on worlds whose truth is known."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.outcome_model import cross_fitted
from training.policy_judgement import (
    Evidence,
    Judgement,
    UnusableMargin,
    judged,
    lottery_gate,
)
from training.policy_value import Worth, best_single, valued

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def worlds(monkeypatch):
    """The bench's worlds: the folder is no package of ours, so its place is told."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("decisions.worlds")


@pytest.fixture
def evidence(worlds):
    """Decisions of 4,000 customers; `new` is all that is known, `current` its opposite."""
    rng = np.random.default_rng(2)
    world = worlds.new_world(rng)
    drawn = worlds.draw_log(world, rng, 4_000, 2)
    return Evidence(
        drawn.log,
        worlds.best_of(drawn.expected, drawn.log),
        worlds.best_of(-drawn.expected, drawn.log),
        np.zeros(len(worlds.NAMES)),
        drawn.opt_outs,
    )


def judge(evidence: Evidence, margin: float = 0.0) -> Judgement:
    return judged(evidence, np.random.default_rng(1), margin)


def gate(found: Judgement, name: str):
    return next(one for one in found.gates if one.name == name)


def test_the_better_policy_is_released_and_its_opposite_is_not(evidence) -> None:
    better = judge(evidence)
    assert better.released
    assert gate(better, "value").says.endswith("; surely higher")
    worse = judge(replace(evidence, new=evidence.current, current=evidence.new))
    assert not worse.released
    assert gate(worse, "value").says.endswith("; not shown to be surely higher")
    assert not gate(worse, "best single communication").passed
    assert worse.gain.value == pytest.approx(-better.gain.value)


def test_no_change_gains_nothing_and_costs_nothing(evidence) -> None:
    same = replace(evidence, new=evidence.current)
    found = judge(same)
    assert (found.gain.value, found.gain.standard_error) == (0.0, 0.0)
    assert not gate(found, "value").passed
    assert gate(judge(same, margin=0.01), "value").passed
    assert gate(judge(same, margin=0.01), "value").says.endswith(
        "; surely not lower by more than 0.01"
    )


def test_a_policy_that_buys_its_value_with_goodbyes_is_stopped(evidence) -> None:
    new = evidence.new.argmax(axis=1)
    chased = np.where(evidence.log.chosen == new, 0.2, 0.0)
    said = (np.random.default_rng(3).random(len(new)) < chased).astype(float)
    found = judge(replace(evidence, opt_outs=said))
    assert not found.released
    assert re.search(
        r"^\+\d+\.\d\d in a hundred decisions \(.*\); not shown to be surely not more by 1 in a "
        r"hundred$",
        gate(found, "opt-outs").says,
    )
    assert gate(found, "value").passed


def test_a_gain_that_may_be_chance_is_not_released(evidence) -> None:
    """Better on the log, but only for a few customers: the lower end of the interval decides."""
    few = evidence.log.customer < 60
    found = judge(replace(evidence, new=np.where(few[:, None], evidence.new, evidence.current)))
    low, high = found.gain.interval(0.95)
    assert low < 0 < found.gain.value < high
    assert not gate(found, "value").passed
    assert not found.released
    # A margin counts from the lower end too.
    one = replace(evidence, new=np.where(few[:, None], evidence.new, evidence.current))
    assert gate(judge(one, margin=-low + 1e-6), "value").passed
    assert not gate(judge(one, margin=-low - 1e-6), "value").passed


def test_goodbyes_that_may_have_risen_stop_it_though_none_were_seen_to(evidence) -> None:
    """Three in ten say goodbye whatever was sent: the upper end of the interval decides."""
    said = (np.random.default_rng(8).random(len(evidence.log)) < 0.3).astype(float)
    found = judge(replace(evidence, opt_outs=said))
    assert found.goodbyes.value < 0.01 < found.goodbyes.interval(0.90)[1]
    assert not gate(found, "opt-outs").passed
    assert gate(judge(replace(evidence, opt_outs=0 * said)), "opt-outs").passed


def test_the_best_single_communication_itself_does_not_fall_behind_it(evidence) -> None:
    """Equal to it is not surely lower by more than a twentieth of the mean reward."""
    log, rng = evidence.log, np.random.default_rng(1)
    single = best_single(log, Worth(cross_fitted(log, rng), evidence.cost), rng)
    found = judge(replace(evidence, new=single))
    assert (found.over_single.value, found.over_single.standard_error) == (0.0, 0.0)
    passed = gate(found, "best single communication")
    assert passed.passed
    guard = 0.05 * abs(float(log.reward.mean()))
    assert passed.says.endswith(f"against it; surely not lower by more than {guard:.3f}")


def test_decisions_that_were_picked_are_not_judged_as_if_drawn(evidence) -> None:
    """Whoever got a message had brought more before it: what it is worth is the picking's."""
    log, noise = evidence.log, np.random.default_rng(4).normal(0.0, 5.0, len(evidence.log))
    drawn = lottery_gate(log, noise)
    assert (drawn.name, drawn.passed) == ("drawn by lot", True)
    assert drawn.says.endswith("; no more than chance allows")
    picked = lottery_gate(log, noise + 2.0 * (log.chosen > 0))
    assert not picked.passed
    assert "already in the same time BEFORE it: they were picked, not drawn by lot" in picked.says
    assert "start a uniform slice: set uniform_share = 0.05 in policy.toml" in picked.says
    assert lottery_gate(
        log, np.full(len(log), np.nan)
    ).passed  # nothing is known of the time before


def test_poor_overlap_refuses_whatever_the_value(evidence) -> None:
    rows = np.arange(300)
    few = Evidence(
        evidence.log.at(rows),
        evidence.new[rows],
        evidence.current[rows],
        evidence.cost,
        evidence.opt_outs[rows],
    )
    found = judge(few)
    assert not found.released
    assert "at least 500 are needed" in gate(found, "overlap, new policy").says


def test_what_was_never_tried_there_refuses(evidence) -> None:
    forbidden = evidence.log.probabilities == 0
    new = np.where(forbidden.any(axis=1)[:, None], forbidden, evidence.new).astype(float)
    new /= new.sum(axis=1, keepdims=True)
    found = judge(replace(evidence, new=new))
    share = float(forbidden.any(axis=1).mean())
    assert gate(found, "tried before").says == (
        f"{100 * share:.1f} % of decisions move to what the log could not have chosen there; "
        "at most 5 % may; let the uniform arm try it first"
    )
    assert not found.released


def test_without_decisions_nothing_is_released(evidence) -> None:
    none = np.zeros(0, dtype=np.int64)
    empty = Evidence(
        evidence.log.at(none), evidence.new[:0], evidence.current[:0], evidence.cost, np.zeros(0)
    )
    found = judge(empty)
    assert not found.released
    assert "effective sample size 0 of 0 decisions" in found.gates[0].says


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused(evidence, margin) -> None:
    with pytest.raises(UnusableMargin, match="must be an amount of money, 0 or more"):
        judge(evidence, margin)


@pytest.fixture
def policies(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("decisions.policies")


def test_wrong_probabilities_are_seen_where_the_three_disagree(evidence) -> None:
    """Logged as if the likely had been likelier: IPS tells more than DR, and chance does not."""
    assert judge(evidence).new.disagreements() == {}
    told = evidence.log.probabilities**1.5
    told /= told.sum(axis=1, keepdims=True)
    wrong = replace(evidence, log=replace(evidence.log, probabilities=told))
    found = judge(wrong)
    assert set(found.new.disagreements()) | set(found.current.disagreements()) >= {"IPS"}


def test_right_probabilities_hardly_ever_look_wrong(worlds) -> None:
    """Of 120 gaps at 99 % one or two are expected; five or more would come once in 100 times."""
    rng = np.random.default_rng(5)
    cried = 0
    for _ in range(30):
        world = worlds.new_world(rng)
        drawn = worlds.draw_log(world, rng, 500, 2)
        model = Worth(cross_fitted(drawn.log, rng), np.zeros(len(worlds.NAMES)))
        for wish in (drawn.expected, -drawn.expected):
            policy = worlds.best_of(wish, drawn.log)
            cried += len(valued(drawn.log, policy, model).disagreements())
    assert cried < 5


def test_intervals_hold_the_truth_as_often_as_they_say(policies) -> None:
    """Short form of the bench: of 60 runs, at most 10 % miss (5 % expected; 3 s.e. = 8 %)."""
    for figure in policies.coverage(60):
        assert figure.value >= 0.87, figure.text()


def test_worse_policies_are_held_and_better_ones_released(policies) -> None:
    """Short form of the bench: five of each."""
    worse, better = policies.releases(5)
    assert worse.value <= 0.2
    assert better.value >= 0.6
