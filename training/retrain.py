"""Train on a home's history: a bundle, its evaluation, and its place beside the champion."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.signals import SignalLog
from models.bundle import Bundle
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.evaluation import Evaluation, report_folder, save_evaluation
from models.targets import load_targets
from serving.policy import load_policy
from serving.storage.store import Store
from training.asked import laid_out
from training.fit import Tested, TrainSettings, one_thread, train
from training.forest import BoosterSettings, Growth
from training.home_effects import with_effects
from training.leftovers import alone, clear_parts
from training.narrator import Narrator
from training.parameters import require_seed
from training.report import evaluation_of
from training.search import Bounds, Found, problems_of, search


@dataclass(frozen=True, slots=True)
class Recipe:
    """What may differ between two trainings on the same history.

    Attributes
    ----------
    targets : Path or None
        Questions and windows; None: the home's own.
    trials : int
        Of a search for better parameters than `booster`; 0: none.
    """

    targets: Path | None = None
    seed: int = 1
    booster: BoosterSettings = field(default_factory=BoosterSettings)
    trials: int = 0


@dataclass(frozen=True, slots=True)
class Retrained:
    """A bundle as written, what its test said, and whether it serves or waits.

    Attributes
    ----------
    tested : dict of score name to Tested
        The test row by row, for pictures.
    booster : BoosterSettings
        As they were used.
    champion : str
        sha256 of the bundle in service now: this one, or the one that it challenges.
    """

    bundle: Bundle
    evaluation: Evaluation
    tested: dict[str, Tested]
    booster: BoosterSettings
    champion: str

    @property
    def serves(self) -> bool:
        """Whether it went into service at once."""
        return self.champion == self.bundle.sha256


def retrain(home: Home, as_of: int, recipe: Recipe, narrator: Narrator) -> Retrained:
    """Fit on all that was received before `as_of` and write the bundle and its evaluation.

    The first bundle of a home goes into service at once, and so does one that finds a champion
    that cannot serve; any other becomes the challenger. That row is written last: a stopped run
    changes nothing that serves, and the next one clears away what it left.

    Raises
    ------
    TrainingUnderWay
        If another process trains in this home.
    InvalidParameter
        If the seed is negative or too large.
    """
    require_seed(recipe.seed)
    home.about()
    with alone(home), one_thread():
        clear_parts(home)
        return _retrained(home, as_of, recipe, narrator)


def _retrained(home: Home, as_of: int, recipe: Recipe, narrator: Narrator) -> Retrained:
    policy = load_policy(home.policy)
    settings = TrainSettings(
        targets=load_targets(recipe.targets or home.targets),
        margin_rate=policy.margin_rate,
        horizon_days=policy.horizon_days,
        booster=recipe.booster,
        seed=recipe.seed,
    )
    with narrator.step("Reading the history"):
        log = History(home.signals).load(received_before=as_of)
    said: tuple[str, ...] = ()
    if recipe.trials:
        with narrator.step(f"Searching for better parameters, {recipe.trials} trials at most"):
            found = _searched(home, log, settings, recipe.trials, as_of)
        settings, said = replace(settings, booster=found.booster), (found.sentence,)
    with narrator.step("Fitting the models and their baselines"):
        result = train(log, FEATURES, settings, as_of)
        bundle = replace(result.bundle, notes=(*said, *result.notes))
        result = replace(result, bundle=bundle, notes=bundle.notes)
    with narrator.step("Learning what communications did"):
        bundle = with_effects(result.bundle, home, log, as_of, recipe.seed)
        result = replace(result, bundle=bundle)
    with narrator.step("Measuring them on later snapshots"):
        sha = write_bundle(result.bundle, home.bundles)
        evaluation = evaluation_of(result, sha, log, settings)
        save_evaluation(evaluation, report_folder(home, sha))
    champion = _placed(home, sha)
    bundle = replace(result.bundle, sha256=sha)
    return Retrained(bundle, evaluation, result.tested, settings.booster, champion)


def _searched(
    home: Home, log: SignalLog, settings: TrainSettings, trials: int, as_of: int
) -> Found:
    """Parameters to train with, by a search that goes on where an earlier one of it stopped."""
    history = laid_out(log, FEATURES, settings.targets, settings.schedule, as_of)
    start = Growth(settings.booster, settings.seed)
    problems = problems_of(history, settings.targets)
    return search(problems, FEATURES.names, start, Bounds(trials), home.path / "search.db")


def _placed(home: Home, sha: str) -> str:
    """Put the bundle into service or beside it; the champion afterwards."""
    with Store.open(home.store) as store:
        champion = store.champion()
        if champion == sha:
            return champion
        if champion is not None and can_serve(home, champion):
            store.set_challenger(sha)
            return champion
        store.set_champion(sha)
        return sha


def can_serve(home: Home, sha: str) -> bool:
    """Whether a bundle can be loaded by this program as it is now."""
    try:
        load_bundle(home.bundles / sha, FEATURES)
    except (DamagedBundle, OSError):
        return False
    return True
