"""What the shipped policy is truly worth after a pilot in the demo company, and its rivals."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from decisions.pilots import PilotWorld, draw_pilot, pilot_world
from decisions.rivals import RIVALS, told_the_truth
from lines import Line
from numpy.typing import NDArray

from features.stage import STAGES
from models.effects import NOTHING_MEASURED, STATE, EffectModels
from serving.arbitration import NOT_SENT, ranked, weigh
from serving.fatigue import Worn
from serving.records import NO_CONTACT
from training.decision_log import LoggedDecisions
from training.effects import learn_effects
from training.simulator.effects import COMMUNICATIONS

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]

BENCH: Final = "pilots"
COMPANY_SEED: Final = 1  # the method was developed on another company, 101, and its own pilots
PEOPLE: Final = 10_000
JUDGED: Final = 6_000
LARGE: Final = 20_000
LARGE_SEEDS: Final = 10
SMALL: Final = 500
SMALL_SEEDS: Final = 20
MINE: Final = "as shipped"
HALF: Final = "half of all, sorted by what they are worth as shipped"
# Which customers come first matters where not all can be sent to. Those of a sorted list get one
# message, the best as measured, as lists are used; or each the message that did most on average
# among those they may have, which is a policy of its own.
ABOVE: Final = (
    "best single, as measured",
    "best single, known beforehand",
    "half of all by risk, best single",
    "half of all by response, best single",
    "half of all, sorted by risk",
    "half of all, sorted by response",
)
PLACE: Final = {NO_CONTACT: 0} | {name: 1 + at for at, name in enumerate(COMMUNICATIONS)}


@dataclass(frozen=True, slots=True)
class Shipped:
    """What the engine chooses for the customers who are judged by; arrays of shape (n,).

    Attributes
    ----------
    chosen, start : ndarray of int64
        What is sent, and the best single communication of the stage that it started from;
        counted from 1, 0 is silence.
    net : ndarray of float64
        What the engine believes that `chosen` is worth.
    """

    chosen: Int64Array
    start: Int64Array
    net: FloatArray


@dataclass(frozen=True, slots=True)
class Judge:
    """True worth of choices for the customers who are judged by; silence is worth 0.

    Everybody's choices are judged by what the engine is after: the effect, less the cost, less
    the price of one more message to those who got some lately.
    """

    world: PilotWorld

    def gain(self, chosen: Int64Array) -> float:
        """Mean net worth; `chosen`, shape (n,), counts from 1, and 0 is silence."""
        net = np.column_stack([np.zeros(len(chosen)), self.net(self.world.judged.value)])
        return float(net[np.arange(len(chosen)), chosen].mean())

    def net(self, effects: FloatArray) -> FloatArray:
        """Net worth of effects, both of shape (n, k); all of them are marketing."""
        tired = self.world.judged.state[:, STATE.index("recent_contacts")]
        price = self.world.policy.fatigue.price * tired
        return np.asarray(effects - self.world.cost - price[:, None])

    def best(self, effects: FloatArray) -> Int64Array:
        """Choice of the greatest net worth above zero, by effects of shape (n, k)."""
        net = np.where(self.world.judged.eligible, self.net(effects), -np.inf)
        return np.asarray(np.argmax(np.column_stack([np.zeros(len(net)), net]), axis=1))

    def single(self, place: int) -> Int64Array:
        """One communication for all who may have it."""
        return np.where(self.world.judged.eligible[:, place], 1 + place, 0)


def pilots() -> Iterator[Line]:
    """Pilots of 20,000, of 500, and one in which messages do nothing."""
    world = pilot_world(PEOPLE, JUDGED, COMPANY_SEED)
    judge = Judge(world)
    everything = judge.gain(judge.best(world.judged.value))
    best = judge.gain(judge.best(told_the_truth(world)))
    yield from _large(judge, best, everything)
    yield from _small(judge, everything)
    yield from _nothing(judge)


def shipped(judge: Judge, models: EffectModels | None) -> Shipped:
    """What the engine's arbitration does with what was learned; None: nothing was."""
    world = judge.world
    chosen, start = np.zeros((2, len(world.judged)), dtype=np.int64)
    net = np.zeros(len(world.judged))
    tired = STATE.index("recent_contacts")
    for row in range(len(world.judged)):
        allowed = [
            entry
            for entry, may in zip(world.entries, world.judged.eligible[row], strict=True)
            if may
        ]
        state = world.judged.state[row]
        fatigue = world.policy.fatigue.price * float(state[tired])
        given = (world.judged.expectations[row], Worn(fatigue), world.policy)
        measured = NOTHING_MEASURED
        if models is not None:
            measured = models.on(state, STAGES[world.judged.stage[row]])
        best = ranked(allowed, *given, measured)[0]
        chosen[row], net[row] = PLACE[best.communication], best.expected_net
        weighed = [NOT_SENT, *(weigh(entry, *given, measured) for entry in allowed)]
        first = max(weighed, key=lambda one: one.usual_net)
        start[row] = PLACE[first.candidate.communication]
    return Shipped(chosen, start, net)


def learned(log: LoggedDecisions, seed: int) -> EffectModels | None:
    """Effects as `nextbest train` would learn them."""
    unknown = np.full(len(log), np.nan)
    return learn_effects(log, unknown, np.random.default_rng(seed)).models


def _large(judge: Judge, best: float, everything: float) -> Iterator[Line]:
    """Shares of the gain of the best policy on the same features, beside rivals."""
    found: dict[str, list[float]] = {}
    for seed in range(1, LARGE_SEEDS + 1):
        log = draw_pilot(judge.world, LARGE, np.random.default_rng(seed))
        ours = shipped(judge, learned(log, seed))
        half, as_many = len(ours.net) // 2, int(np.sum(ours.chosen > 0))
        single = judge.single(_measured_best(log))
        best_mean = judge.best(RIVALS["mean effects, argmax"](log, judge.world))
        risk, response = (
            judge.world.judged.state[:, STATE.index(name)]
            for name in ("churn_risk", "repurchase_likelihood")
        )
        choices = {
            MINE: ours.chosen,
            HALF: _to_the_highest(ours.net, half, ours.chosen),
            "best single of the stage, with the same knowledge": ours.start,
            "best single, as measured": single,
            "half of all by risk, best single": _to_the_highest(risk, half, single),
            "half of all by response, best single": _to_the_highest(response, half, single),
            "half of all, sorted by risk": _to_the_highest(risk, half, best_mean),
            "half of all, sorted by response": _to_the_highest(response, half, best_mean),
            "as many, sorted by risk": _to_the_highest(risk, as_many, best_mean),
            "as many, sorted by response": _to_the_highest(response, as_many, best_mean),
        }
        choices |= {name: judge.best(learn(log, judge.world)) for name, learn in RIVALS.items()}
        for name, choice in choices.items():
            found.setdefault(name, []).append(judge.gain(choice) / best)
    truly_best = max(judge.gain(judge.single(place)) for place in range(len(COMMUNICATIONS)))
    found["best single, known beforehand"] = [truly_best / best] * LARGE_SEEDS
    mine = found.pop(MINE)
    about = (
        f"mean of {LARGE_SEEDS} pilots; true net worth on {JUDGED:,} looks at other "
        f"people; the best on the same features gains {best:.3f} a look, "
        f"{best / everything:.2f} of what a full-information oracle would"
    )
    yield Line(
        BENCH, f"pilot of {LARGE:,}: as shipped", "share of the best gain on the same features",
        float(np.mean(mine)), 0.55, True, min(mine), max(mine), note=about,
    )  # fmt: skip
    for name in ABOVE:
        ours_here = np.array(found[HALF] if name.startswith("half") else mine)
        wins = int(np.sum(ours_here > np.array(found[name])))
        yield Line(
            BENCH, f"pilot of {LARGE:,}: above {name}", f"of {LARGE_SEEDS} pilots", wins, 9,
            peer=name, peer_value=float(np.mean(found[name])),
        )  # fmt: skip
    for name, shares in found.items():
        yield Line(
            BENCH, f"pilot of {LARGE:,}: {name}", "share of the best gain on the same features",
            float(np.mean(shares)), None, True, min(shares), max(shares), "as shipped",
            float(np.mean(mine)),
        )  # fmt: skip


def _small(judge: Judge, everything: float) -> Iterator[Line]:
    """How far below the best single communication a pilot of 500 leads."""
    rows = []
    for seed in range(1, SMALL_SEEDS + 1):
        log = draw_pilot(judge.world, SMALL, np.random.default_rng(100 + seed))
        ours = shipped(judge, learned(log, seed))
        measured = judge.gain(judge.single(_measured_best(log)))
        rows.append((judge.gain(ours.chosen), judge.gain(ours.start), measured))
    mine, starts, measured_best = np.array(rows).T / everything
    known = max(judge.gain(judge.single(place)) for place in range(len(COMMUNICATIONS)))
    peers = {
        "the best single of the stage, with the same knowledge": starts,
        "the best single, as this pilot alone measured it": measured_best,
        "the best single, known beforehand": np.full(SMALL_SEEDS, known / everything),
    }
    for name, theirs in peers.items():
        fine = int(np.sum(mine - theirs >= -0.02))
        yield Line(
            BENCH, f"pilot of {SMALL}: not below {name}", f"of {SMALL_SEEDS} pilots", fine, 19,
            peer=name, peer_value=float(theirs.mean()),
            note=f"below by at most 2 % of a full-information oracle's gain; shares of it: shipped "
            f"{mine.mean():.3f} ({mine.min():.3f} to {mine.max():.3f}), {name} {theirs.mean():.3f} "
            f"({theirs.min():.3f} to {theirs.max():.3f}); worst difference "
            f"{(mine - theirs).min():+.3f}",
        )  # fmt: skip


def _nothing(judge: Judge) -> Iterator[Line]:
    """Whom the shipped policy contacts after a pilot in which no message did anything."""
    shares = []
    for seed in range(1, LARGE_SEEDS + 1):
        log = draw_pilot(judge.world, LARGE, np.random.default_rng(200 + seed), works=False)
        shares.append(float(np.mean(shipped(judge, learned(log, seed)).chosen > 0)))
    before = shipped(judge, None).chosen
    yield Line(
        BENCH, f"pilot of {LARGE:,} without any effect", "share contacted", float(np.mean(shares)),
        0.01, False, min(shares), max(shares), "what the catalog states, before the pilot",
        float(np.mean(before > 0)),
        f"mean of {LARGE_SEEDS} pilots; marketing only, exploration left out",
    )  # fmt: skip


def _measured_best(log: LoggedDecisions) -> int:
    """The single communication that gained most where it could be sent, weighted by 1 / P."""
    weight = 1.0 / log.propensity
    silent = log.chosen == 0
    gains = []
    for place in range(1, len(log.names)):
        could = log.probabilities[:, place] > 0
        got = log.chosen == place
        quiet = could & silent
        if not got.any() or not quiet.any():
            gains.append(0.0)
            continue
        told = np.average(log.reward[got], weights=weight[got])
        untold = np.average(log.reward[quiet], weights=weight[quiet])
        gains.append(float(could.mean() * (told - untold)))
    return int(np.argmax(gains))


def _to_the_highest(score: FloatArray, most: int, choice: Int64Array) -> Int64Array:
    """`choice` for the `most` people of the highest score, and silence for the others."""
    chosen = np.zeros_like(choice)
    top = np.argsort(-score, kind="stable")[:most]
    chosen[top] = choice[top]
    return chosen
