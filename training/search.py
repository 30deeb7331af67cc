"""A bounded search for better parameters, within guarded ranges and training snapshots only.

Test snapshots are never looked at: the same later rows cannot both choose and judge. Of the
training snapshots the last part is kept back: what looked best on the part before it replaces
the defaults only if it surely beats them there too, since the best of many looks better than
it is.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.signals import DAY
from models.targets import PROMOTION, Targets
from training.asked import LaidOut, asked
from training.contest import Rows
from training.forest import BoosterSettings, Growth, directions, fit_forest
from training.metrics import Interval, loss_difference, losses

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage

FloatArray = NDArray[np.float64]

# Name, least, most. Narrower than what a person may set: few leaves, large ones, a penalty, and
# forests that take seconds. Membership inference rises with small leaves first.
SPACE: Final = {
    "rounds": (60, 400),
    "learning_rate": (0.02, 0.15),
    "num_leaves": (4, 31),
    "most_in_leaf": (50, 400),
    "lambda_l2": (1.0, 100.0),
    "feature_fraction": (0.2, 0.9),
}
EVEN: Final = frozenset({"num_leaves", "feature_fraction"})  # all others on a logarithmic scale
# To learn from, to choose on, and to confirm on; with gaps between them.
FEWEST_SNAPSHOTS: Final = 6
SEEDS: Final = 2**32  # that NumPy's generator below the sampler takes
RANDOM_TRIALS: Final = 10  # before the sampler leans on what it has seen; Optuna's own number


class NothingToSearch(ValueError):
    """Too few snapshots or rows to try settings on."""


class SearchUnreadable(ValueError):
    """The file of trials is damaged, locked, or cannot be written."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a search ends: after so many trials, or after so much work.

    Attributes
    ----------
    trials : int
        The defaults, which are the first, among them.
    cpu_seconds : float
        Of all trials together, of earlier runs of the same search too. The trial under way is
        finished.
    """

    trials: int
    cpu_seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class Problem:
    """A question to try settings on: its name, training rows, window, and directions."""

    name: str
    rows: Rows
    window_days: int
    directions: tuple[int, ...]


def problems_of(history: LaidOut, targets: Targets) -> tuple[Problem, ...]:
    """The questions asked at snapshots, with what there is to learn; nothing of the tests.

    Promoters are left out: answers to surveys are too few to choose among settings.
    """
    return tuple(
        Problem(
            target.name,
            asked(history, target).learned,
            target.window_days,
            directions(history.features, target.score),
        )
        for target in targets.targets
        if target.outcome != PROMOTION
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that were tried, and their loss: 1 is that of the base rate."""

    booster: BoosterSettings
    loss: float


@dataclass(frozen=True, slots=True)
class Found:
    """The settings to train with, all that were tried, in order, and the verdict in words."""

    booster: BoosterSettings
    trials: tuple[Trial, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows to learn from and later ones to ask about, of one question."""

    problem: Problem
    learned: Rows
    asked: Rows

    def losses(self, booster: BoosterSettings, seed: int, names: tuple[str, ...]) -> FloatArray:
        """Log loss of each row asked, by that of the base rate on average; shape (n,)."""
        growth = Growth(booster, seed, self.problem.directions)
        rows = self.learned
        forest = fit_forest(rows.steady(), rows.answers, names, growth, rows.weights)
        said = self.asked.weights * losses(self.asked.answers, forest.predict(self.asked.rows))
        rate = np.full(len(self.asked), float(np.average(rows.answers, weights=rows.weights)))
        plain = self.asked.weights * losses(self.asked.answers, rate)
        return np.asarray(said / plain.mean())


def search(
    problems: Sequence[Problem],
    names: tuple[str, ...],
    start: Growth,
    bounds: Bounds,
    database: Path,
    spent: Callable[[], float] = time.process_time,
) -> Found:
    """Try settings, the given ones first, and keep the given ones unless clearly beaten.

    A search that was stopped or killed goes on where it was. What a trial tries follows from the
    seed, its number and the results of the trials before it, all of which are on disk: with the
    same library versions, as many trials give the same settings and losses to the last bit,
    however often the search was broken off. Only where `cpu_seconds` ends a search does the
    number of trials depend on the machine.

    Parameters
    ----------
    problems : sequence of Problem
        Rows of training snapshots only.
    start : Growth
        The settings to beat and the seed; its directions are not used.
    database : Path
        SQLite file of this and other searches, made if need be.
    spent : function
        CPU seconds that this process has used so far.

    Raises
    ------
    NothingToSearch
        If no question has enough snapshots, with both answers in each part.
    SearchUnreadable
        If `database` is damaged, locked, or cannot be written.
    """
    parts = [part for part in map(_parts, problems) if part is not None]
    if not parts:
        raise NothingToSearch(
            f"no question has {FEWEST_SNAPSHOTS} training snapshots with both answers; a search "
            "needs some to learn from, some to choose on and some to confirm on; wait for more "
            "history, or train without --search"
        )
    choosing, confirming = [first for first, _ in parts], [second for _, second in parts]
    with _study(database, _name(problems, names, start)) as study:
        trials = _tried(study, choosing, names, start, bounds, spent)
    best = min(range(len(trials)), key=lambda number: (trials[number].loss, number))
    tried = f"Search: {_counted(trials, 'setting')} tried on {_counted(parts, 'question')}"
    if best == 0:
        return Found(start.booster, trials, f"{tried}; none did better than the defaults.")
    gain = _gain(confirming, names, start, trials[best].booster)
    numbers = (
        f"log loss {100 * gain.difference:+.2f} % ({100 * gain.low:+.2f} to "
        f"{100 * gain.high:+.2f} %) on the snapshots kept back"
    )
    if gain.high < 0:
        said = f"{tried}; number {best} beats the defaults, {numbers}."
        return Found(trials[best].booster, trials, said)
    said = f"{tried}; number {best} does not clearly beat the defaults, {numbers}; they stay."
    return Found(start.booster, trials, said)


def _counted(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _parts(problem: Problem) -> tuple[_Part, _Part] | None:
    """A part to choose on and a later one to confirm on; None if there is too little."""
    rows = problem.rows
    moments = np.unique(rows.as_of)
    if len(moments) < FEWEST_SNAPSHOTS:
        return None
    quarter = len(moments) // 4
    chosen, confirmed = moments[-2 * quarter : -quarter], moments[-quarter:]
    found = []
    for later in (chosen, confirmed):
        closed = rows.as_of + problem.window_days * DAY <= later.min()
        learned, asked = rows.at(closed), rows.at(np.isin(rows.as_of, later))
        if len(np.unique(learned.answers)) < 2 or len(np.unique(asked.answers)) < 2:
            return None
        found.append(_Part(problem, learned, asked))
    return found[0], found[1]


def _tried(
    study: "Study",
    parts: Sequence[_Part],
    names: tuple[str, ...],
    start: Growth,
    bounds: Bounds,
    spent: Callable[[], float],
) -> tuple[Trial, ...]:
    """Trials of the study, with those that were still missing."""
    import optuna

    complete = (optuna.trial.TrialState.COMPLETE,)
    space = _distributions()
    while True:
        known = study.get_trials(deepcopy=False, states=complete)
        used = sum(float(trial.user_attrs["cpu_seconds"]) for trial in known)
        if known and (len(known) >= bounds.trials or used >= bounds.cpu_seconds):
            break
        # A sampler anew for every trial: what it draws hangs on nothing that a kill could lose.
        study.sampler = optuna.samplers.TPESampler(
            seed=(start.seed * 100_003 + len(known)) % SEEDS, n_startup_trials=RANDOM_TRIALS
        )
        if not known:
            study.enqueue_trial({name: getattr(start.booster, name) for name in SPACE})
        trial = study.ask(space)
        began = spent()
        booster = replace(start.booster, **trial.params)
        loss = float(np.mean([part.losses(booster, start.seed, names).mean() for part in parts]))
        trial.set_user_attr("cpu_seconds", spent() - began)
        study.tell(trial, loss)
    return tuple(
        Trial(replace(start.booster, **trial.params), float(trial.value or 0.0))
        for trial in known[: bounds.trials]
    )


def _gain(
    parts: Sequence[_Part], names: tuple[str, ...], start: Growth, best: BoosterSettings
) -> Interval:
    """Relative loss of the best settings less that of the given ones, on the rows kept back."""
    new, old = (
        np.concatenate([part.losses(booster, start.seed, names) for part in parts])
        for booster in (best, start.booster)
    )
    customers = np.concatenate([part.asked.customers for part in parts])
    return loss_difference(customers, new, old, np.random.default_rng(start.seed))


def _distributions() -> "dict[str, BaseDistribution]":
    from optuna.distributions import FloatDistribution, IntDistribution

    usual = asdict(BoosterSettings())
    return {
        name: IntDistribution(int(low), int(high), log=name not in EVEN)
        if isinstance(usual[name], int)
        else FloatDistribution(low, high, log=name not in EVEN)
        for name, (low, high) in SPACE.items()
    }


def _name(problems: Sequence[Problem], names: tuple[str, ...], start: Growth) -> str:
    """What makes two searches one: the same rows, settings, seed, space and versions."""
    from importlib.metadata import version

    versions = {package: version(package) for package in ("lightgbm", "numpy", "optuna")}
    about = [asdict(start.booster), start.seed, SPACE, versions, names]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for problem in problems:
        digest.update(f"{problem.name} {problem.window_days} {problem.directions}".encode())
        rows = problem.rows
        for array in (rows.rows, rows.answers, rows.customers, rows.as_of, rows.weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(rows.clocks.tobytes())
    return digest.hexdigest()


@contextmanager
def _study(database: Path, name: str) -> "Iterator[Study]":
    """The search of this name; trials that a kill cut short are put aside as failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    database.parent.mkdir(parents=True, exist_ok=True)
    with _in_words(database):
        storage: RDBStorage = optuna.storages.RDBStorage(f"sqlite:///{database.resolve()}")
    try:
        with _in_words(database):
            yield _resumed(storage, name)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _resumed(storage: "RDBStorage", name: str) -> "Study":
    import optuna

    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    states = optuna.trial.TrialState
    if study.get_trials(deepcopy=False, states=(states.WAITING,)):
        study.ask()  # only the first one is ever waiting
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    return study


@contextmanager
def _in_words(database: Path) -> Iterator[None]:
    """What the database of searches could not do, as one sentence of ours."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise SearchUnreadable(
            f"{database}: trials of searches cannot be kept there ({reason}); it must be a SQLite "
            "file that nobody else holds; nothing but those trials is in it: move it away and "
            "search again, or train without --search"
        ) from error
