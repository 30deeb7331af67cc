"""Train on a home's history and put the result into service."""

from dataclasses import replace
from pathlib import Path

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from models.bundle import Bundle, write_bundle
from models.targets import load_targets
from serving.policy import load_policy
from serving.store import Store
from training.fit import TrainSettings, train
from training.narrator import Narrator


def retrain(home: Home, as_of: int, targets: Path | None, seed: int, narrator: Narrator) -> Bundle:
    """Fit on all that was received before `as_of`, write the bundle, make it the champion.

    The champion row is written last: a stopped run leaves the old bundle in service.
    """
    home.about()
    policy = load_policy(home.policy)
    settings = TrainSettings(
        targets=load_targets(targets or home.targets),
        margin_rate=policy.margin_rate,
        horizon_days=policy.horizon_days,
        seed=seed,
    )
    with narrator.step("Reading the history"):
        log = History(home.signals).load(received_before=as_of)
    with narrator.step("Fitting the models and their baselines"):
        result = train(log, FEATURES, settings, as_of)
    sha = write_bundle(result.bundle, home.bundles)
    with Store.open(home.store) as store:
        store.set_champion(sha)
    return replace(result.bundle, sha256=sha)
