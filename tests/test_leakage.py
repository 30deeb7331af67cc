"""What happens or arrives at or after `as_of` changes no feature, no model and no decision."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY
from serving.storage.store import Store
from training.everyone import Asking, answers
from training.homes import make_home
from training.narrator import Narrator
from training.online import bring_online
from training.retrain import Recipe, retrain

QUIET = Narrator(quiet=True)


def all_signals(files: list[Path]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)


def is_later(signals: pd.DataFrame, moment: pd.Timestamp) -> pd.Series:
    """Occurred or arrived at the moment or after it."""
    occurred = pd.to_datetime(signals["occurred_at"], utc=True, format="ISO8601")
    received = pd.to_datetime(signals["received_at"], utc=True, format="ISO8601")
    return (occurred >= moment) | (received >= moment)


def corrupted(later: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same later signals, of other people, in other words, with wild amounts."""
    changed = later.copy()
    changed["customer_id"] = rng.permutation(changed["customer_id"].to_numpy())
    orders = changed["event"] == "Order Completed"
    changed.loc[orders, "amount"] = "99999.99"
    changed.loc[changed["event"] == "Page Viewed", "event"] = "Objection Raised"
    changed.loc[changed["event"] == "Product Viewed", "event"] = "Relationship Ended"
    return changed


def home_with(signals: pd.DataFrame, folder: Path) -> Home:
    folder.mkdir()
    signals.to_parquet(folder / "signals.parquet")
    home = Home(folder / "home")
    make_home(home, About("Leak", "data_end", simulated=True))
    ingest([folder / "signals.parquet"], None, home, IntakeRules("EUR"))
    with Store.open(home.store) as store:
        bring_online(History(home.signals), store)
    return home


@pytest.fixture(scope="module")
def as_of(company_files: list[Path]) -> pd.Timestamp:
    signals = all_signals(company_files)
    last = pd.to_datetime(signals["occurred_at"], utc=True, format="ISO8601").max()
    return last.floor("D") - pd.Timedelta(days=60)


@pytest.fixture(scope="module")
def homes(
    company_files: list[Path], as_of: pd.Timestamp, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Home]:
    """A home that ends at the moment, and one whose later signals are nonsense."""
    signals = all_signals(company_files)
    later = is_later(signals, as_of)
    wild = corrupted(signals[later], np.random.default_rng(1))
    folder = tmp_path_factory.mktemp("leak")
    ended = home_with(signals[~later], folder / "ended")
    went_on = home_with(pd.concat([signals[~later], wild]), folder / "went_on")
    return ended, went_on


def microseconds(moment: pd.Timestamp) -> int:
    return int(moment.timestamp()) * 1_000_000


def test_the_corruption_is_no_small_one(homes: tuple[Home, Home]) -> None:
    ended, went_on = (History(home.signals) for home in homes)
    assert went_on.events()["Relationship Ended"] > 100
    assert went_on.data_end() >= ended.data_end() + 55 * DAY


def test_features_do_not_change(homes: tuple[Home, Home], as_of: pd.Timestamp) -> None:
    moment = microseconds(as_of)
    ended, went_on = (History(home.signals).load() for home in homes)
    there = {name: place for place, name in enumerate(went_on.customer_ids)}
    places = np.array([there[name] for name in ended.customer_ids], dtype=np.int64)
    moments = np.full(len(ended), moment, dtype=np.int64)
    expected = feature_matrix(FEATURES, ended, np.arange(len(ended), dtype=np.int64), moments)
    found = feature_matrix(FEATURES, went_on, places, moments)
    assert expected.tobytes() == found.tobytes()
    # And the check can fail: a day after the last signal they differ.
    later = np.full(len(ended), moment + 61 * DAY, dtype=np.int64)
    assert expected.tobytes() != feature_matrix(FEATURES, went_on, places, later).tobytes()


def test_models_and_decisions_do_not_change(homes: tuple[Home, Home], as_of: pd.Timestamp) -> None:
    moment = microseconds(as_of)
    bundles = [retrain(home, moment, Recipe(), QUIET).bundle.sha256 for home in homes]
    assert bundles[0] == bundles[1]
    customer_ids = History(homes[0].signals).load().customer_ids
    expected, found = (
        list(answers(Asking(home, moment, logs=False, seed=3), customer_ids)) for home in homes
    )
    assert expected == found
    assert len({answer["communication"] for answer in found}) > 3
