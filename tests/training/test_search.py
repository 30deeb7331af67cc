import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from features.signals import DAY
from training.contest import Rows
from training.forest import BoosterSettings, Growth
from training.parameters import LARGEST_SEED, RANGES
from training.search import (
    SPACE,
    Bounds,
    Found,
    NothingToSearch,
    Problem,
    SearchUnreadable,
    search,
)

NAMES = ("a", "b", "c")
START = Growth(BoosterSettings(rounds=60), seed=3)


def problem(people: int = 80, snapshots: int = 9, seed: int = 1, steps: float = 0.0) -> Problem:
    """A question at snapshots two weeks apart; `steps` makes many small steps of the answer."""
    rng = np.random.default_rng(seed)
    n = people * snapshots
    rows = rng.normal(size=(n, 3))
    log_odds = rows[:, 0] + steps * np.sign(np.sin(9 * rows[:, 1])) + rows[:, 2] * rows[:, 0]
    answers = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int8)
    as_of = np.tile(np.arange(snapshots) * 14 * DAY, people).astype(np.int64)
    people_of = np.repeat(np.arange(people), snapshots)
    none = np.zeros(3, dtype=bool)
    return Problem("churn_risk", Rows(rows, answers, people_of, as_of, np.ones(n), none), 28, ())


def found(folder: Path, trials: int, asked: Problem | None = None) -> Found:
    return search([asked or problem()], NAMES, START, Bounds(trials), folder / "search.db")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A search nobody broke off; the sampler leans on what it has seen from the eleventh on."""
    return found(tmp_path_factory.mktemp("whole"), 12)


def test_the_space_is_guarded_and_holds_the_defaults() -> None:
    usual = asdict(BoosterSettings())
    for name, (low, high) in SPACE.items():
        assert RANGES[name][0] <= low <= usual[name] <= high <= RANGES[name][1]
    assert SPACE["most_in_leaf"][0] >= 50
    assert SPACE["num_leaves"][1] <= 31
    assert SPACE["lambda_l2"][0] >= 1


def test_settings_never_leave_the_space_and_the_defaults_come_first(whole: Found) -> None:
    tried = whole.trials
    assert len(tried) == 12
    assert tried[0].booster == START.booster
    assert len({each.booster for each in tried}) == 12
    for each in tried:
        for name, (low, high) in SPACE.items():
            assert low <= getattr(each.booster, name) <= high
        assert (each.booster.max_bin, each.booster.folds) == (127, 2)
        assert each.loss > 0


def test_a_search_goes_on_where_it_stopped(tmp_path: Path, whole: Found) -> None:
    for trials in (1, 11):
        part = found(tmp_path, trials)
        assert part.trials == whole.trials[:trials]
    assert found(tmp_path, 12) == whole
    assert found(tmp_path, 12) == whole
    assert found(tmp_path, 5).trials == whole.trials[:5]
    other = search([problem()], NAMES, replace(START, seed=4), Bounds(2), tmp_path / "search.db")
    assert other.trials[1] != whole.trials[1]


KILLED = """
import os, signal, sys
sys.path.insert(0, {folder!r})
from test_search import NAMES, START, problem
from pathlib import Path
from training.search import Bounds, search
asked = 0
def spent():
    global asked
    asked += 1
    if asked == {last}:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0
search([problem()], NAMES, START, Bounds(12), Path({database!r}), spent)
"""


@pytest.mark.parametrize(("last", "trials"), [(2, 3), (22, 12)])
def test_a_killed_search_ends_as_if_nothing_had_happened(
    tmp_path: Path, whole: Found, last: int, trials: int
) -> None:
    # The clock is read before and after each trial: when it is read for the second and for the
    # twenty-second time, the first and the eleventh trial have no result on disk yet.
    script = KILLED.format(
        folder=str(Path(__file__).parent), last=last, database=str(tmp_path / "search.db")
    )
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr
    assert ended.stderr == ""
    assert found(tmp_path, trials).trials == whole.trials[:trials]


def test_work_is_bounded_over_all_runs(tmp_path: Path) -> None:
    ticks = iter(range(0, 10_000, 5))

    def run(cpu_seconds: float) -> int:
        bounds = Bounds(50, cpu_seconds)
        place = tmp_path / "search.db"
        return len(search([problem()], NAMES, START, bounds, place, lambda: next(ticks)).trials)

    assert run(12.0) == 3  # five seconds each; the third passes the bound
    assert run(12.0) == 3
    assert run(21.0) == 5
    assert run(0.0) == 5


def test_better_settings_replace_the_defaults(tmp_path: Path) -> None:
    short = Growth(BoosterSettings(rounds=60, learning_rate=0.02, num_leaves=4), 3)
    asked = [problem(people=400, steps=2.0)]
    better = search(asked, NAMES, short, Bounds(4), tmp_path / "search.db")
    assert better.booster != short.booster
    assert better.booster in {each.booster for each in better.trials}
    assert "beats the defaults, log loss -" in better.sentence


def test_rows_kept_back_choose_nothing_and_confirm_all(tmp_path: Path) -> None:
    # With their answers turned round every trial is as before, but the best is not confirmed.
    asked = problem(people=400, steps=2.0)
    last = asked.rows.as_of >= 7 * 14 * DAY
    answers = np.where(last, 1 - asked.rows.answers, asked.rows.answers).astype(np.int8)
    turned = replace(asked, rows=replace(asked.rows, answers=answers))
    short = Growth(BoosterSettings(rounds=60, learning_rate=0.02, num_leaves=4), 3)
    one, other = (
        search([each], NAMES, short, Bounds(3), tmp_path / "search.db") for each in (asked, turned)
    )
    assert one.trials == other.trials
    assert one.booster != short.booster
    assert other.booster == short.booster
    assert "does not clearly beat the defaults, log loss +" in other.sentence
    assert other.sentence.endswith("on the snapshots kept back; they stay.")


def test_where_nothing_is_better_the_defaults_stay(tmp_path: Path) -> None:
    asked = [problem(people=400, steps=2.0)]
    long = Growth(BoosterSettings(rounds=400, learning_rate=0.1, most_in_leaf=50), 3)
    said = search(asked, NAMES, long, Bounds(1), tmp_path / "search.db")
    assert said.booster == long.booster
    assert said.sentence == (
        "Search: 1 setting tried on 1 question; none did better than the defaults."
    )


def test_too_little_history_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToSearch, match="no question has 6 training snapshots with both"):
        found(tmp_path, 3, problem(snapshots=5))
    same = problem()
    one = replace(same, rows=replace(same.rows, answers=np.ones(len(same.rows), dtype=np.int8)))
    with pytest.raises(NothingToSearch, match="wait for more history, or train without --search"):
        found(tmp_path, 3, one)
    assert not (tmp_path / "search.db").exists()


def test_a_damaged_file_of_trials_is_named(tmp_path: Path) -> None:
    (tmp_path / "search.db").write_bytes(b"no database at all, but letters" * 200)
    with pytest.raises(SearchUnreadable) as caught:
        found(tmp_path, 2)
    assert "search.db: trials of searches cannot be kept there (" in str(caught.value)
    assert "file is not a database" in str(caught.value)
    assert "move it away and search again, or train without --search" in str(caught.value)


def test_a_file_of_trials_that_another_program_holds_is_named(tmp_path: Path) -> None:
    found(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / "search.db", timeout=0)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SearchUnreadable, match="database is locked"):
            found(tmp_path, 2)


def test_the_largest_seed_searches_too(tmp_path: Path) -> None:
    start = replace(START, seed=LARGEST_SEED)
    tried = search([problem()], NAMES, start, Bounds(2), tmp_path / "search.db").trials
    assert len(tried) == 2
