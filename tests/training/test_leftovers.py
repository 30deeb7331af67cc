import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from training.homes import make_home
from training.leftovers import TrainingUnderWay, alone, clear_parts
from training.narrator import Narrator
from training.retrain import Recipe, retrain
from training.simulator.company import CompanySize, simulate_company, write_company

SCRIPT = Path(__file__).with_name("killed_trainings.py")
ROOT = Path(__file__).parents[2]
# `make kills` asks for twenty, of a company large enough for every kind of model.
KILLS = int(os.environ.get("NEXTBEST_KILLS", "5"))
PEOPLE = 60 if KILLS <= 5 else 300


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    size = CompanySize(people=PEOPLE, days=240 if KILLS <= 5 else 400)
    company = simulate_company(np.random.default_rng(5), size)
    files = write_company(company, tmp_path / "files", tmp_path / "truth")
    make_home(found, About("Small company", "data_end", simulated=True))
    ingest(files, None, found, IntakeRules("EUR"))
    return found


@pytest.mark.timeout(3600)
def test_a_training_killed_anywhere_leaves_the_champion_and_the_next_one_starts_clean(
    home: Home,
) -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), str(home.path), str(KILLS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    first, *killed, last = (json.loads(line) for line in ended.stdout.splitlines())
    assert len(killed) == KILLS
    assert {each["killed_by"] for each in killed} == {9}
    assert (first["killed_by"], last["killed_by"]) == (0, 0)
    for each in (first, *killed, last):
        assert each["champion"] == first["champion"]
        assert each["champion_serves"]
        assert each["challenger_serves"]
    assert any(each["parts"] for each in killed)
    assert last["parts"] == 0
    assert last["challenger"] not in {each["challenger"] for each in (first, *killed)}
    assert "KILLED" in last["runs"]
    assert set(last["runs"]) == {"KILLED", "FINISHED"}


def test_two_trainings_of_a_home_at_once_are_one_too_many(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    make_home(home, About("Nobody", "data_end"))
    words = f"{home.path}: another process is training here; one at a time may; wait until it has"
    with alone(home), pytest.raises(TrainingUnderWay, match=words):
        retrain(home, 0, Recipe(), Narrator(quiet=True))
    with alone(home):
        pass


def test_only_parts_of_dead_processes_are_cleared(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    report = home.reports / "bundles" / "abc"
    dead = (home.bundles / f".abc.{ended.pid}.part", report / f".card.html.{os.getpid()}.part")
    running = home.bundles / f".abc.{os.getppid()}.part"
    whole = (home.bundles / "abc", report / "card.html")
    for folder in (dead[0], running, whole[0], report):
        folder.mkdir(parents=True)
    for file in (dead[0] / "margin.json", dead[1], whole[1]):
        file.write_text("x", encoding="utf-8")
    assert clear_parts(home) == tuple(sorted(dead))
    assert running.exists()
    assert all(path.exists() for path in whole)
    assert not any(path.exists() for path in dead)
    assert clear_parts(home) == ()
