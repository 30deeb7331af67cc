"""Homes that several tests look at; made once, and copied by whoever changes them."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import nextbest
from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from serving.storage.store import Store
from training.homes import make_home
from training.narrator import Narrator
from training.online import bring_online
from training.retrain import Recipe, retrain
from training.simulator.company import CompanySize, simulate_company, write_company

# On a shared machine one slow example proves nothing: time is measured in benchmarks.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

QUIET = Narrator(quiet=True)


TrainedHome = tuple[Home, int]  # and the moment to look from


@pytest.fixture(scope="session")
def company_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Signals of 300 simulated people over 400 days."""
    company = simulate_company(np.random.default_rng(5), CompanySize(people=300, days=400))
    folder = tmp_path_factory.mktemp("company")
    return write_company(company, folder / "files", folder / "truth")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, company_files: list[Path]) -> TrainedHome:
    """A home with these signals; nobody may change it."""
    home = Home(tmp_path_factory.mktemp("trained") / "home")
    make_home(home, About("Small company", "data_end", simulated=True))
    ingest(company_files, None, home, IntakeRules("EUR"))
    history = History(home.signals)
    with Store.open(home.store) as store:
        bring_online(history, store)
    retrain(home, history.data_end(), Recipe(), QUIET)
    return home, history.data_end()


@pytest.fixture
def trained_copy(trained: TrainedHome, tmp_path: Path) -> TrainedHome:
    """A copy of the trained home, to change at will."""
    home, as_of = trained
    shutil.copytree(home.path, tmp_path / "home")
    return Home(tmp_path / "home"), as_of


@pytest.fixture
def signed_again() -> Callable[..., Path]:
    """What a forger does: makes a bundle's manifest fit its files, and renames the folder."""

    def sign(folder: Path, **changes: object) -> Path:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest.update(changes)
        if "files" not in changes:
            manifest["files"] = {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(folder.iterdir())
                if path.name != "manifest.json"
            }
        raw = json.dumps(manifest).encode()
        (folder / "manifest.json").write_bytes(raw)
        return folder.rename(folder.parent / hashlib.sha256(raw).hexdigest())

    return sign


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run one command line in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEXTBEST_HOME", raising=False)

    def run_it(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nextbest", *words])
        try:
            nextbest.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run_it
