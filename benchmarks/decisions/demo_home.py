"""A demo company with its models in service: what decisions are measured on."""

from pathlib import Path

import numpy as np

from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from serving.champion import company_engine, with_champion
from serving.engine import Engine
from serving.storage.store import Store
from training.homes import make_home
from training.narrator import Narrator
from training.online import bring_online
from training.retrain import Recipe, retrain
from training.simulator.company import CompanySize, simulate_company, write_company


def trained_home(folder: Path, size: CompanySize, rng: np.random.Generator) -> tuple[Home, int]:
    """A home of such a company, trained, and the moment at which its data ends."""
    company = simulate_company(rng, size)
    files = write_company(company, folder / "files", folder / "truth")
    home = Home(folder / "home")
    make_home(home, About("Demo company", "data_end", simulated=True))
    ingest(files, None, home, IntakeRules("EUR"))
    history = History(home.signals)
    with Store.open(home.store) as store:
        bring_online(history, store)
    retrain(home, history.data_end(), Recipe(), Narrator(quiet=True))
    return home, history.data_end()


def engine_of(home: Home, store: Store) -> Engine:
    """The engine as the service has it."""
    return with_champion(company_engine(home), home, store.champion()).engine
