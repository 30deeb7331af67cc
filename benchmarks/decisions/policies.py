"""Whether intervals hold the truth, and what the check of policies lets through."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from decisions.worlds import NAMES, Drawn, World, best_of, draw_log, new_world
from lines import Line
from numpy.typing import NDArray

from training.outcome_model import cross_fitted
from training.policy_judgement import Evidence, judged
from training.policy_value import Worth, difference, to_one, valued

FloatArray = NDArray[np.float64]

SEED = 1
# Circumstances over which a true value is averaged: its own error is then .02, against the .6 of
# the estimates that are judged by it.
TRUTH_ROWS = 20_000
# "Clearly better": than the present policy by a tenth of what an average decision brings (6.0 in
# these worlds), and than the best single communication by a twentieth.
CLEARLY = 0.6
OVER_SINGLE = 0.3
COST = np.array([0.0, *[0.2] * (len(NAMES) - 1)])


@dataclass(frozen=True, slots=True)
class Guesses:
    """What somebody believes of each communication, as lines in the state."""

    lines: FloatArray

    def policy(self, drawn: Drawn) -> FloatArray:
        """Takes what it believes best, cost counted; now and then another."""
        state = drawn.log.state
        return best_of(np.column_stack([np.ones(len(state)), state]) @ self.lines.T, drawn.log)


def policies() -> Iterator[Line]:
    """Coverage of the doubly robust interval, then what the gates release."""
    yield from coverage(1000)
    yield from releases(200)


def coverage(runs: int) -> Iterator[Line]:
    """How often the 95 % interval holds the true value, of a policy and of a difference.

    A policy's by all three estimators that a check prints.

    Each run draws 2,100 decisions of 700 customers in a world of its own, a policy that is right
    by half, and another that is random.
    """
    rng = np.random.default_rng(SEED)
    names = ("a value", "a difference", "a value by SNIPS", "a value by IPS")
    hits = np.zeros((runs, len(names)), dtype=bool)
    for run in range(runs):
        world = new_world(rng)
        truth = _truth_rows(world, rng, TRUTH_ROWS)
        pair = _guesses(world, rng, 1.0), _guesses(world, rng, 3.0)
        true = [true_value(truth, one) for one in pair]
        drawn = draw_log(world, rng, 700, 3)
        worth = Worth(cross_fitted(drawn.log, rng), COST)
        policies = [one.policy(drawn) for one in pair]
        one = valued(drawn.log, policies[0], worth)
        found = (
            (one.robust, true[0]),
            (difference(drawn.log, policies[0], policies[1], worth), true[0] - true[1]),
            (one.normalised, true[0]),
            (one.inverse, true[0]),
        )
        for place, (estimate, value) in enumerate(found):
            if estimate is not None:  # no interval holds nothing
                low, high = estimate.interval()
                hits[run, place] = low <= value <= high
    for name, share in zip(names, hits.mean(axis=0), strict=True):
        error = float(np.sqrt(share * (1 - share) / runs))
        yield Line(
            "policies",
            "off-policy value",
            f"share of {runs:,} runs in which the 95 % interval of {name} holds the truth",
            float(share),
            0.93,
            low=float(share) - 1.96 * error,
            high=float(share) + 1.96 * error,
            note="doubly robust unless said otherwise; 2,100 decisions of 700 customers each",
        )


def releases(checks: int) -> Iterator[Line]:
    """Of policies truly worse, and of policies clearly better: how many the gates release.

    Each check has a world and a pilot of 20,000 decisions of 5,000 customers of its own. A worse
    policy is worse by any amount, however small; for a better one see `CLEARLY`.
    """
    rng = np.random.default_rng(SEED)
    released: dict[str, list[bool]] = {"worse": [], "better": []}
    losses, gains = [], []
    while min(len(found) for found in released.values()) < checks:
        world = new_world(rng)
        truth = _truth_rows(world, rng, TRUTH_ROWS)
        # The better of two comes from somebody who knows the effects well, against one who
        # guesses; a worse one may come from anybody.
        spreads = (0.3, 4.0) if rng.random() < 0.5 else rng.choice((0.5, 1.0, 2.0, 4.0), 2)
        pair = [_guesses(world, rng, float(spread)) for spread in spreads]
        value = true_value(truth, pair[0])
        gain = value - true_value(truth, pair[1])
        clearly = gain >= CLEARLY and value - _best_single(truth) >= OVER_SINGLE
        kind = "worse" if gain < 0 else "better" if clearly else ""
        if not kind or len(released[kind]) == checks:
            continue
        drawn = draw_log(world, rng, 5_000, 4)
        new, current = (one.policy(drawn) for one in pair)
        found = judged(Evidence(drawn.log, new, current, COST, drawn.opt_outs), rng)
        released[kind].append(found.released)
        (losses if kind == "worse" else gains).append(gain)
    yield Line(
        "policies",
        "policy check",
        f"share of {checks} truly worse policies that are released",
        float(np.mean(released["worse"])),
        0.05,
        higher=False,
        note=f"a pilot of 20,000 decisions each; true losses {_range(losses)} a decision",
    )
    yield Line(
        "policies",
        "policy check",
        f"share of {checks} clearly better policies that are released",
        float(np.mean(released["better"])),
        0.70,
        note=f"a pilot of 20,000 decisions each; true gains {_range(gains)} a decision",
    )


def _guesses(world: World, rng: np.random.Generator, spread: float) -> Guesses:
    """The true effects with an error of `spread` times their own spread (0.6), less the cost."""
    lines = world.effect + rng.normal(0.0, 0.6 * spread, world.effect.shape)
    lines[:, 0] -= COST
    lines[0] = 0.0
    return Guesses(lines)


def _truth_rows(world: World, rng: np.random.Generator, n: int) -> Drawn:
    """Rows over which true values are averaged; their rewards are not looked at."""
    return draw_log(world, rng, n, 1)


def true_value(truth: Drawn, guesses: Guesses) -> float:
    """Mean over circumstances of what the policy truly brings, less what its contacts cost."""
    return float(np.mean(np.sum(guesses.policy(truth) * (truth.expected - COST), axis=1)))


def _best_single(truth: Drawn) -> float:
    """True value of the one communication that is best for all who may have it."""
    worth = truth.expected - COST
    return max(
        float(np.mean(np.sum(to_one(truth.log, name) * worth, axis=1)))
        for name in range(len(NAMES))
    )


def _range(values: list[float]) -> str:
    low, middle, high = np.quantile(np.abs(values), (0.05, 0.5, 0.95))
    return f"{low:.2f} .. {middle:.2f} .. {high:.2f} (5th, 50th, 95th percentile)"
