"""Hillstrom's e-mail experiment: 64,000 former buyers, men's mail, women's mail or none, by lot."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from decisions.mailing import best_for_each
from lines import Line
from numpy.typing import NDArray

from features.stage import STAGES
from models.effects import EffectModels, terms_of
from serving.policy import SHIPPED, load_policy
from serving.records import NO_CONTACT
from training.decision_log import LoggedDecisions, experiment_log
from training.effects import Shape, learn_effects
from training.outcome_model import cross_fitted
from training.uplift_curves import Trial, qini

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]

BENCH: Final = "hillstrom"
ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = Path(
    os.environ.get("HILLSTROM", ROOT.parent / "shared" / "data" / "hillstrom" / "hillstrom.csv")
)
ARM_NAMES: Final = {"No E-Mail": 0, "Mens E-Mail": 1, "Womens E-Mail": 2}
NAMES: Final = (NO_CONTACT, "mens_mail", "womens_mail")
MENS, WOMENS = 1, 2
FOLDS: Final = 5
SEED: Final = 1
QINI_SEEDS: Final = 20
STATE: Final = ("mens", "womens", "newbie", "recency", "history", "by_web", "by_both", "in_town")
# What is not a score is taken as it is: an effect, and how it differs by each variable.
SHAPE: Final = Shape(STATE, ((), *((name,) for name in STATE), ("mens", "womens")), 1)


@dataclass(frozen=True, slots=True)
class Mailing:
    """The experiment; n customers, one row each.

    Attributes
    ----------
    state : ndarray of float64, shape (n, n_state)
    drawn : ndarray of int64, shape (n,); index into `NAMES`
    visit, spend : ndarray of float64, shape (n,); in the two weeks that followed
    """

    state: FloatArray
    drawn: Int64Array
    visit: FloatArray
    spend: FloatArray

    def log(self, reward: FloatArray) -> LoggedDecisions:
        """The experiment as decisions that an engine would have logged."""
        n = len(self.drawn)
        vector = np.full((n, len(NAMES)), 1.0 / len(NAMES))
        return replace(
            experiment_log(NAMES, self.drawn, vector, reward),
            stage=np.full(n, STAGES.index("active")),
            state=self.state,
        )


def read_mailing(file: Path = FILE) -> Mailing:
    """The experiment as it was published."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))

    def number(name: str) -> FloatArray:
        return np.array([float(row[name]) for row in rows])

    def says(name: str, word: str) -> FloatArray:
        return np.array([float(row[name] == word) for row in rows])

    columns = {
        "mens": number("mens"),
        "womens": number("womens"),
        "newbie": number("newbie"),
        "recency": number("recency") / 12.0,
        "history": np.log(number("history")) - 5.0,  # the median customer spent 158
        "by_web": says("channel", "Web"),
        "by_both": says("channel", "Multichannel"),
        "in_town": says("zip_code", "Urban"),
    }
    drawn = np.array([ARM_NAMES[row["segment"]] for row in rows])
    state = np.column_stack([columns[name] for name in STATE])
    return Mailing(state, drawn, number("visit"), number("spend"))


def hillstrom() -> Iterator[Line]:
    """The shipped rule against the best mail for everybody; who is moved by the women's mail."""
    if not FILE.exists():
        note = f"skipped: {FILE.name} is not there; name it in the variable HILLSTROM"
        yield Line(BENCH, "policy and Qini", "spend, visit, Qini", None, note=note)
        return
    mailing = read_mailing()
    yield from _against_all_mens(mailing, "spend", mailing.spend, -0.05)
    yield from _against_all_mens(mailing, "visit", mailing.visit, -0.002)
    yield _womens_qini(mailing)
    yield from planted(mailing)


def _against_all_mens(
    mailing: Mailing, name: str, reward: FloatArray, bar: float
) -> Iterator[Line]:
    """Difference to the men's mail for everybody, customers told by the others' fifths."""
    policy = load_policy(SHIPPED)
    shipped = np.zeros(len(reward), dtype=np.int64)
    for fold, models in learned_by_others(mailing, reward):
        shipped[fold] = best_for_each(models, mailing.state[fold], policy)
    plain = cross_fitted(mailing.log(reward), np.random.default_rng(SEED)).argmax(axis=1)
    worth = doubly_robust(mailing, reward)
    rules = (
        (f"as shipped, z = {policy.z:g}", shipped, bar),
        ("plain argmax of a regression for each mail", plain, None),
    )
    for rule, chosen, its_bar in rules:
        gain = worth[np.arange(len(reward)), chosen] - worth[:, MENS]
        mean, error = float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))
        low, high = mean - 1.96 * error, mean + 1.96 * error
        yield Line(
            BENCH, f"{name}: {rule}", f"gain in {name} a customer", mean, its_bar, True, low, high,
            "men's mail for everybody", float(worth[:, MENS].mean()),
            f"cross-fitted over {len(gain):,}, doubly robust; the bar is for the lower bound of "
            f"the 95 % interval; {np.mean(chosen != MENS):.1%} get another mail or none",
            None if its_bar is None else low > its_bar,
        )  # fmt: skip


def learned_by_others(
    mailing: Mailing, reward: FloatArray
) -> list[tuple[Int64Array, EffectModels]]:
    """Customers of each fifth, with the effects that the other four fifths taught."""
    rng = np.random.default_rng(SEED)
    fold = rng.permutation(len(reward)) % FOLDS
    log, unknown = mailing.log(reward), np.full(len(reward), np.nan)
    found = []
    for one in range(FOLDS):
        others = fold != one
        models = learn_effects(log.at(others), unknown[others], rng, SHAPE).models
        if models is not None:
            found.append((np.flatnonzero(~others), models))
    return found


def doubly_robust(mailing: Mailing, reward: FloatArray) -> FloatArray:
    """Worth of giving each customer each mail, shape (n, 3); unbiased one by one."""
    guess = cross_fitted(mailing.log(reward), np.random.default_rng(SEED))
    row = np.arange(len(reward))
    guess[row, mailing.drawn] += len(NAMES) * (reward - guess[row, mailing.drawn])
    return guess


def _womens_qini(mailing: Mailing) -> Line:
    """Mean Qini of the women's mail against none, over fixed shares of the customers."""
    kept = np.flatnonzero(mailing.drawn != MENS)
    part = Mailing(
        mailing.state[kept], mailing.drawn[kept], mailing.visit[kept], mailing.spend[kept]
    )
    log = part.log(part.visit)
    log = replace(
        log,
        names=(NO_CONTACT, "womens_mail"),
        chosen=(part.drawn == WOMENS).astype(np.int64),
        probabilities=np.full((len(kept), 2), 0.5),
        prior=np.zeros((len(kept), 2)),
    )
    trial = Trial(log.customer, log.chosen == 1, part.visit, np.full(len(kept), 0.5))
    found = []
    for seed in range(1, QINI_SEEDS + 1):
        rng = np.random.default_rng(seed)
        fold = rng.permutation(len(kept)) % FOLDS
        score = np.zeros(len(kept))
        for one in range(FOLDS):
            others = fold != one
            models = learn_effects(log.at(others), np.full(others.sum(), np.nan), rng, SHAPE).models
            if models is not None:
                score[~others] = scores(models, part.state[~others])
        found.append(100 * qini(trial, score))
    return Line(
        BENCH, "women's mail against none, visit", "Qini x 100", float(np.mean(found)), 0.66, True,
        min(found), max(found), "an older probe's best doubly robust learner", 0.718,
        f"mean of {QINI_SEEDS} seeds, cross-fitted by fifths; low and high are the least and the "
        "greatest of them; formula in training/uplift_curves.py",
    )  # fmt: skip


def scores(models: EffectModels, state: FloatArray) -> FloatArray:
    """Estimated effect of the first communication on each customer, shape (n,)."""
    return np.asarray(terms_of(state, models.state, models.terms) @ models.coefficients[0])


def planted(mailing: Mailing) -> Iterator[Line]:
    """The same customers and mails, with effects that are known and differ."""
    rng = np.random.default_rng(SEED)
    row = np.arange(len(mailing.drawn))
    column = {name: mailing.state[:, place] for place, name in enumerate(STATE)}
    # Each mail moves those who bought of its kind, and puts the others off a little.
    effects = np.column_stack(
        [
            np.zeros(len(row)),
            0.10 * column["mens"] - 0.02 + 0.03 * column["by_web"],
            0.10 * column["womens"] - 0.02 - 0.03 * column["newbie"],
        ]
    )
    base = 0.08 + 0.05 * column["by_both"] - 0.04 * column["recency"]
    chance = np.clip(base[:, None] + effects, 0.0, 1.0)
    visit = (rng.random(len(row)) < chance[row, mailing.drawn]).astype(np.float64)
    policy = load_policy(SHIPPED)
    chosen = np.zeros(len(row), dtype=np.int64)
    for fold, models in learned_by_others(mailing, visit):
        chosen[fold] = best_for_each(models, mailing.state[fold], policy)
    single = int(np.argmax(chance.mean(axis=0)))
    gain = float(np.mean(chance[row, chosen] - chance[row, single]))
    most = float(np.mean(chance.max(axis=1) - chance[row, single]))
    left = float(np.mean(chosen != single))
    yield Line(
        BENCH, "planted: each mail moves those who bought of its kind",
        "true gain in visits over the best single mail", gain, 0.0, True,
        peer="whoever knew every effect", peer_value=most,
        note=f"{gain / most:.0%} of what could be gained; {left:.1%} get another mail or none; "
        "effects and choice as shipped, cross-fitted",
        holds=gain > 0 and left > 0,
    )  # fmt: skip
